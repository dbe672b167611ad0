package inside

import (
	"context"
	"errors"
	"time"
)

// MaxRead is more than any file has that croft reads inside, in bytes.
const MaxRead = 1 << 20

// patience is how long a guest may take to let its files be read or written.
// It can have mounted a filesystem there that never answers.
const patience = time.Second

// InRoot calls do with the root directory of the process id and waits for it, at
// most about a second and until ctx is done. After an error do may still run.
// The error is ErrGone if the process has ended.
func InRoot(ctx context.Context, id Identity, do func(*Root) error) error {
	process, err := id.Open()
	if err != nil {
		return err
	}
	defer process.Close()
	root, err := process.Root()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer root.Close()
		done <- do(root)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err = <-done:
	case <-timer.C:
		err = errors.New("timed out while accessing its files")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil && !process.Alive() {
		return ErrGone
	}
	return err
}

// Look is InRoot for a function that returns something. If there is an error, it
// returns what read has returned, or the zero value if read did not return.
func Look[T any](ctx context.Context, id Identity, read func(*Root) (T, error)) (T, error) {
	found := make(chan T, 1)
	err := InRoot(ctx, id, func(root *Root) error {
		t, err := read(root)
		found <- t
		return err
	})
	select {
	case t := <-found:
		return t, err
	default:
		var none T
		return none, err
	}
}
