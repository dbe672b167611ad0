package vps

import "croft/internal/fail"

// A Frozen names files that a VPS had as its own and that do not change any more: a
// layer between its own files and its template. Several VPSs may share it.
type Frozen struct {
	ID  string  `json:"id"`
	IDs IDRange `json:"ids"` // that its files have on disk
}

// CheckSnapshot returns fail.Usage for an invalid name of a snapshot.
func CheckSnapshot(name string) error {
	if _, err := ParseName(name); err != nil {
		return fail.New(fail.Usage, "invalid name of a snapshot %q: use 1 to 63 of a-z, 0-9 and -, not at the start or end", name)
	}
	return nil
}
