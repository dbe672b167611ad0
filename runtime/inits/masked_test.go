package inits

import (
	"slices"
	"testing"
)

// Only units that would not skip themselves are masked.
func TestMaskedUnits(t *testing.T) {
	if got := MaskedUnits([]string{"CAP_CHOWN", "CAP_SYS_TIME"}); len(got) != 0 {
		t.Errorf("masked: %v", got)
	}
	if got := MaskedUnits([]string{"CAP_SYS_MODULE"}); !slices.Equal(got, []string{"systemd.mask=systemd-modules-load.service"}) {
		t.Errorf("masked: %v", got)
	}
	if got := MaskedUnits([]string{"CAP_SYS_MODULE", "CAP_SYS_RAWIO"}); len(got) != 4 {
		t.Errorf("masked: %v", got)
	}
}
