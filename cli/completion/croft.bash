# bash completion for croft: source <(croft completion bash)
_croft() {
	local IFS=$'\n' word=$2 line=${COMP_LINE:0:COMP_POINT}
	local -a words
	# COMP_WORDS is split at "=" and ":" too, which croft does not do.
	IFS=$' \t\n' read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=('')
	COMPREPLY=($(croft __complete "${words[@]:1}" 2>/dev/null))
	# What stands before the last "=" or ":" is on the line already.
	local last=${words[-1]}
	if [[ $last != "$word" && $last == *"$word" ]]; then
		local done=${last%"$word"}
		COMPREPLY=("${COMPREPLY[@]#"$done"}")
	fi
}
complete -o default -F _croft croft
