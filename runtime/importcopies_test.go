package runtime

import (
	"testing"

	"croft/internal/state"
	"croft/internal/vps"
	"croft/template"
)

// A VPS that is moved, and one that gets a limit, have copies of the files above the layers
// of their template. Others share the layers of the image.
func TestWhichImportsCopy(t *testing.T) {
	limited := vps.Disk{Bytes: 1 << 30}
	for what, c := range map[string]struct {
		template, image []string
		v               vps.VPS
		move            *state.Move
		edits           []vps.Edit
		copies          bool
	}{
		"no limit":                        {[]string{"t"}, []string{"t", "own"}, vps.VPS{}, nil, nil, false},
		"with a limit":                    {[]string{"t"}, []string{"t", "own"}, vps.VPS{Disk: limited}, nil, nil, true},
		"that gets a limit":               {[]string{"t"}, []string{"t", "own"}, vps.VPS{}, nil, []vps.Edit{vps.SetDisk{Bytes: 1 << 30}}, true},
		"moved":                           {[]string{"t", "u"}, []string{"t", "u", "own"}, vps.VPS{}, &state.Move{}, nil, true},
		"moved without files of its own":  {[]string{"t"}, []string{"t"}, vps.VPS{}, &state.Move{}, nil, true},
		"moved, plain":                    {[]string{"t"}, []string{"t", "all"}, vps.VPS{Storage: vps.StoragePlain}, &state.Move{}, nil, true},
		"plain, with a limit":             {[]string{"t"}, []string{"all"}, vps.VPS{Storage: vps.StoragePlain, Disk: limited}, nil, nil, false},
		"plain, unchanged since a backup": {[]string{"all"}, []string{"all"}, vps.VPS{Storage: vps.StoragePlain, Disk: limited}, nil, nil, false},
		"of another template":             {[]string{"t", "u"}, []string{"t", "own"}, vps.VPS{Disk: limited}, nil, nil, false},
		"without a template":              {nil, []string{"own"}, vps.VPS{Disk: limited}, nil, nil, false},
	} {
		i := importing{move: c.move, options: ImportOptions{Edits: c.edits}}
		i.VPS = c.v
		i.VPS.Template.Layers = c.template
		below, copies := i.copies(template.Image{Layers: c.image})
		if copies != c.copies || copies && below != len(c.template) {
			t.Errorf("%s: %v, above %d layers", what, copies, below)
		}
	}
}
