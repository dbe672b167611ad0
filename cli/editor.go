package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"croft/cli/command"
	"croft/internal/fail"
)

// editText lets the user edit text in the editor of $VISUAL or $EDITOR, else vi. It
// returns the new text, and the private file that has it, which the caller removes.
// pattern is the name of the file, as in os.CreateTemp. After an error there is no file.
func editText(a *command.App, pattern string, text []byte) (edited []byte, path string, err error) {
	f, err := os.CreateTemp("", pattern)
	if err != nil {
		return nil, "", fail.New(fail.Host, "%w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = cmp.Or(err, f.Close()); err != nil {
		return nil, "", fail.New(fail.Host, "%w", err)
	}
	if err := runEditor(a, f.Name()); err != nil {
		return nil, "", err
	}
	edited, err = os.ReadFile(f.Name())
	return edited, f.Name(), err
}

// runEditor runs the editor until it ends. Ctrl-C is for the editor meanwhile.
func runEditor(a *command.App, path string) error {
	editor := cmp.Or(a.Getenv("VISUAL"), a.Getenv("EDITOR"), "vi")
	keys := make(chan os.Signal, 1)
	signal.Notify(keys, syscall.SIGINT, syscall.SIGQUIT) // caught and not ignored: the editor gets the default action
	defer signal.Stop(keys)
	// A shell, because the variables may have options of the editor too.
	c := exec.Command("/bin/sh", "-c", editor+` "$@"`, editor, path)
	c.Stdin, c.Stdout, c.Stderr = a.Stdio.In, a.Stdio.Out, a.Stdio.Err
	if err := c.Run(); err != nil {
		return fmt.Errorf("the editor %s failed, and nothing has changed: %w", editor, err)
	}
	return nil
}

// afterEdit uses the text that the user has edited, and removes the file at path that
// has it. After an error or a signal the file stays, and the error names it.
func afterEdit(ctx context.Context, path string, use func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := use(ctx)
	if ctx.Err() != nil {
		err = &interrupted{cause: signaled{syscall.SIGINT}, err: err}
	}
	if err == nil {
		return os.Remove(path)
	}
	return fail.New(fail.KindOf(err), "%w; your text is in %s", err, path)
}
