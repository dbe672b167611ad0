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
	return InRootFor(ctx, patience, id, do)
}

// InRootFor is InRoot with another time to wait.
func InRootFor(ctx context.Context, patience time.Duration, id Identity, do func(*Root) error) error {
	return inProcessFor(ctx, patience, id, func(p *Process) error {
		root, err := p.Root()
		if err != nil {
			return err
		}
		defer root.Close()
		return do(root)
	})
}

// InProcess is InRoot for the process itself.
func InProcess(ctx context.Context, id Identity, do func(*Process) error) error {
	return inProcessFor(ctx, patience, id, do)
}

func inProcessFor(ctx context.Context, patience time.Duration, id Identity, do func(*Process) error) error {
	process, err := id.Open()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := do(process)
		if err != nil && !process.Alive() {
			err = ErrGone
		}
		process.Close()
		done <- err
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err = <-done:
		return err
	case <-timer.C:
		err = errors.New("timed out while accessing its files")
	case <-ctx.Done():
		err = ctx.Err()
	}
	again, gone := id.Open()
	if errors.Is(gone, ErrGone) {
		return ErrGone
	}
	if gone == nil {
		again.Close()
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
