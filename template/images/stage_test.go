package images

import (
	"testing"

	"golang.org/x/sync/errgroup"

	"croft/template/roottest"
)

// Commands that end remove their stages while others begin.
func TestStagesComeAndGo(t *testing.T) {
	s := Open(t.TempDir(), Options{})
	roottest.Must(t, s.Make())
	var all errgroup.Group
	for range 16 {
		all.Go(func() error {
			for range 300 {
				st, err := s.NewStage(t.Context())
				if err != nil {
					return err
				}
				if err := st.Remove(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	roottest.Must(t, all.Wait())
}
