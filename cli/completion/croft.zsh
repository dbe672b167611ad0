#compdef croft
# zsh completion for croft: put this into a directory of fpath, as _croft
_croft() {
	local -a all
	all=("${(@f)$(croft __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ -n "${all[*]}" ]]; then
		compadd -a all
	else
		_files
	fi
}
if [[ "$funcstack[1]" = "_croft" ]]; then
	_croft "$@"
else
	compdef _croft croft
fi
