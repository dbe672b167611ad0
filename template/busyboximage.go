package template

import (
	"bytes"
	"context"
	goruntime "runtime"

	"croft/internal/initkind"
)

// makeBusybox makes the template busybox. The same binary makes the same digest.
func (s *Store) makeBusybox(ctx context.Context) (Image, error) {
	program, err := busyboxProgram()
	if err != nil {
		return Image{}, err
	}
	s.progress(Update{Step: "making busybox from this program"})
	archive, err := busyboxRootfs(ctx, program)
	if err != nil {
		return Image{}, err
	}
	st, err := s.newStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.remove()
	l, err := s.stageLayer(ctx, st, bytes.NewReader(archive), nil, nil)
	if err != nil {
		return Image{}, err
	}
	return s.commit(ctx, st, Image{
		Name: busyboxName, Distribution: busyboxName, Release: busyboxVersion(program), Architecture: goruntime.GOARCH,
		Init: string(initkind.Busybox), Recipe: busyboxName, Created: busyboxTime(),
	}, l)
}
