package template

import (
	"bytes"
	"context"
	goruntime "runtime"

	"croft/internal/fail"
	"croft/internal/initkind"
)

// makeBusybox makes the template busybox. The same binary makes the same digest.
func (s *Store) makeBusybox(ctx context.Context) (Image, error) {
	program, err := busyboxFiles.ReadFile("busybox/busybox")
	if err != nil {
		return Image{}, fail.New(fail.Host, "this croft was built without the embedded busybox").WithHint("make build")
	}
	s.progress(Update{Step: "making busybox from this program"})
	applets, err := listApplets(ctx, program)
	if err != nil {
		return Image{}, err
	}
	archive, err := busyboxTar(program, applets)
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
