# fish completion for croft: put this into ~/.config/fish/completions
function __croft_complete
	set -l before (commandline -opc)
	set -l word (commandline -ct)
	set -l found (croft __complete $before[2..-1] $word 2>/dev/null)
	if test "$found[1]" = :files
		# --option=FILE is completed behind the "=".
		set -l option (string match -r -- '^--[^=]*=' $word)
		set -l path (string replace -r -- '^--[^=]*=' '' $word)
		for file in (complete -C "'' $path" 2>/dev/null)
			printf '%s%s\n' "$option" $file
		end
		return
	end
	printf '%s\n' $found
end
complete -c croft -f -a '(__croft_complete)'
