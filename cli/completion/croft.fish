# fish completion for croft: put this into ~/.config/fish/completions
function __croft_complete
	set -l before (commandline -opc)
	croft __complete $before[2..-1] (commandline -ct) 2>/dev/null
end
complete -c croft -f -a '(__croft_complete)'
