#compdef croft
# zsh completion for croft: put this into a directory of fpath, as _croft
_croft() {
	local line word
	local -a found words_ open
	found=("${(@f)$(croft __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ ${found[1]} == :files ]]; then
		compset -P '--[^=]##='
		_files
		return
	fi
	for line in "${found[@]}"; do
		[[ -n $line ]] || continue
		word=${${line%%$'\t'*}//:/\\:}
		[[ $line == *$'\t'* ]] && word+=:${line#*$'\t'}
		if [[ ${line%%$'\t'*} == *= ]]; then # goes on with a value
			open+=("$word")
		else
			words_+=("$word")
		fi
	done
	local -i status_=1
	(( $#words_ )) && _describe -t words 'croft' words_ && status_=0
	(( $#open )) && _describe -t keys 'croft' open -S '' && status_=0
	return status_
}
if [[ "$funcstack[1]" = "_croft" ]]; then
	_croft "$@"
else
	compdef _croft croft
fi
