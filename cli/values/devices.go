package values

import (
	"fmt"
	"strings"

	"croft/internal/vps"
)

// Device reads a device of the host, as vps.ParseDevice says.
func Device(s string) (vps.Device, error) {
	d, err := vps.ParseDevice(s)
	if err == nil {
		err = d.Check()
	}
	return d, err
}

// DeviceName reads what chooses a device of a VPS: its path inside or a class.
func DeviceName(s string) (string, error) {
	if s == "" || strings.Trim(s, Letters+"0123456789./_-:,@+=#\\") != "" {
		return "", fmt.Errorf("invalid device %q: use its path inside, gpu, or usb:SERIAL", s)
	}
	return s, nil
}
