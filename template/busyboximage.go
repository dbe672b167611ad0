package template

import (
	"bytes"
	"context"
	goruntime "runtime"

	"croft/internal/initkind"
	"croft/template/busybox"
)

// makeBusybox creates the template busybox. The same binary gives the same digest.
func (s *Store) makeBusybox(ctx context.Context) (Image, error) {
	program, err := busybox.Program()
	if err != nil {
		return Image{}, err
	}
	s.progress(Update{Step: "creating busybox from this program"})
	archive, err := busybox.Rootfs(ctx, program)
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
		Name: busybox.Name, Distribution: busybox.Name, Release: busybox.Version(program), Architecture: goruntime.GOARCH,
		Init: string(initkind.Busybox), Recipe: busybox.Name, Created: busybox.Time(),
	}, l)
}
