# bash completion for croft: source <(croft completion bash)
_croft() {
	local IFS=$'\n' word=$2 line=${COMP_LINE:0:COMP_POINT} found
	local -a words all
	# COMP_WORDS is split at "=" and ":" too, which croft does not do.
	IFS=$' \t\n' read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=('')
	all=($(croft __complete "${words[@]:1}" 2>/dev/null))
	COMPREPLY=()
	if [[ ${all[0]-} == :files ]]; then
		compopt -o default 2>/dev/null
		return
	fi
	# What stands before the last "=" or ":" is on the line already.
	local last=${words[-1]} done=
	[[ $last != "$word" && $last == *"$word" ]] && done=${last%"$word"}
	for found in "${all[@]}"; do
		found=${found%%$'\t'*}
		COMPREPLY+=("${found#"$done"}")
	done
	# KEY= goes on with a value.
	[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	return 0
}
complete -F _croft croft
