package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/display"
	"croft/internal/fail"
	"croft/internal/vps"
	"croft/runtime"
)

// A hint is a command line that works and that harms nothing, or a sentence.
// Hints come from everywhere in croft; every one of them goes through shown,
// which drops a command that croft itself would refuse, or that could end or
// remove something. A hint may hold several commands, with "; " in between.

// shown returns hint without the commands that a person should not type.
// meant is the path of the command that the person has typed, or has probably
// meant: that one may be proposed whatever it does.
func shown(a *command.App, hint string, meant []string) string {
	var good []string
	for _, part := range strings.Split(hint, "; ") {
		if !strings.Contains(part, "croft ") || worksAndHarmsNothing(a, part, meant) {
			good = append(good, part)
		}
	}
	return strings.Join(good, "; ")
}

// worksAndHarmsNothing checks a hint with a croft command: alone,
// after sudo, or at the end of a pipe.
func worksAndHarmsNothing(a *command.App, hint string, meant []string) bool {
	words, err := unquote(hint)
	if err != nil {
		return false
	}
	at := slices.Index(words, "croft")
	if at < 0 || at > 0 && words[at-1] != "|" && words[at-1] != "sudo" {
		return false // a sentence about a command is not a command
	}
	words = words[at+1:]
	l, err := cmdline.Read(commands(a), words)
	if err != nil || !l.Help && l.Verb.Harmful && !slices.Equal(l.Path, meant) {
		return false
	}
	return accepts(a, words)
}

// errAccepted ends a command at the point where it would begin to act.
var errAccepted = errors.New("the command line is valid")

// accepts reports whether croft accepts the words of a command line, without
// acting on them: everything in them is checked, and the Manager is never
// asked for anything.
func accepts(a *command.App, words []string) bool {
	l, err := cmdline.Read(commands(a), words)
	if err != nil || l.Help || l.Verb == nil || l.Verb.Foreign {
		return err == nil
	}
	if _, _, err := hostOf(a, l); err != nil {
		return false
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer null.Close()
	dry := &command.App{
		Stdio:   runtime.Stdio{In: a.Stdio.In, Out: null, Err: null},
		Connect: func(runtime.Options) (command.Manager, error) { return nil, errAccepted },
		Recipes: func(string) command.Cookbook { return noRecipes{} },
		Getenv:  a.Getenv,
		Now:     a.Now,
		Line:    words,
	}
	if dry.Stdio.In == nil {
		dry.Stdio.In = null
	}
	dry.Screen = display.NewScreen(null, a.Getenv, a.Now)
	dry.Report = func([]string, error) {}
	err = l.Run(context.Background(), commands(dry))
	return (err == nil || errors.Is(err, errAccepted)) && namesAreValid(l)
}

// noRecipes is a cookbook without recipes.
type noRecipes struct{}

func (noRecipes) Recipes() ([]runtime.RecipeInfo, error) { return nil, nil }
func (noRecipes) Recipe(string) (string, error)          { return "", nil }

// namesAreValid reports whether all words in the place of names of VPSs are valid.
func namesAreValid(l cmdline.Line) bool {
	if !command.NamesVPSs(l.Verb.Words) && !slices.Equal(l.Path, []string{"create"}) {
		return true
	}
	words := l.Words()
	if !l.Verb.TakesMany() {
		words = words[:min(1, len(words))]
	}
	for _, w := range words {
		if strings.Contains(l.Verb.Args, ":PATH") {
			w, _, _ = strings.Cut(w, ":")
		}
		if _, err := vps.ParseName(w); err != nil {
			return false
		}
	}
	return true
}

// unquote splits a command line into words as a shell does. It knows quotes and
// backslashes, and nothing else of a shell. The library that quotes
// (shellescape) does not split.
func unquote(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, in = c, true
		case quote != '\'' && c == '\\' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			in = true
		case quote == 0 && c == ' ':
			if in {
				words = append(words, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if quote != 0 {
		return nil, fail.New(fail.Usage, "the quotes in %s do not end", text)
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
