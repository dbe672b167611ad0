package options

import (
	"croft/cli/cmdline"
	"croft/cli/command"
	"croft/cli/values"
	"croft/internal/vps"
)

const deviceUsage = "device of the host: /dev/X[:/dev/Y][:OPTION[,OPTION]...], kvm, gpu or usb:SERIAL; may be repeated"

// DeviceAbout is the help of verbs with devices.
const DeviceAbout = `DEVICE is the path of a device of the host, and after a colon its path inside:
/dev/ttyUSB0, /dev/disk/by-id/usb-Stick-0:0:/dev/sda. "kvm" is /dev/kvm, "gpu" the
render nodes of all graphics cards, and usb:SERIAL all nodes of the USB device with
this serial number. Options follow the last colon:

  r, rw, rwm     what the VPS may do: read, write, make a node (default: rwm)
  mode=OCTAL     permission bits inside (default: those of the host's node)
  uid=N, gid=N   owner and group inside (default: 0)
  optional       the VPS starts although the host does not have the device

The device is looked up at each start. Links such as those in /dev/serial/by-id keep
their meaning when a device gets another number.`

// deviceEdits reads the options of devices. A device can be removed and added with
// other options at the same time.
func deviceEdits(i *command.Invocation) []vps.Edit {
	var edits []vps.Edit
	for _, name := range command.GetMany(i, "device-del", values.DeviceName) {
		edits = append(edits, vps.RemoveDevice{Name: name})
	}
	for _, d := range command.GetMany(i, "device-add", values.Device) {
		edits = append(edits, vps.AddDevice{Device: d})
	}
	return edits
}

// Devices returns the devices of the VPSs on the line.
func Devices(o *command.Offers, c *cmdline.Completion) []cmdline.Candidate {
	var all []cmdline.Candidate
	for _, v := range o.Chosen(c) {
		for _, d := range v.Devices {
			all = append(all, cmdline.Candidate{Word: d.Name(), About: "device of " + string(v.Name)})
		}
	}
	return all
}
