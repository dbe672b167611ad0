package state

import (
	"context"

	"croft/internal/flock"
	"croft/internal/vps"
)

// FreeIDs returns how many ranges of IDUnit ids can still be given to new VPSs.
func (s *Store) FreeIDs(ctx context.Context) (int, error) {
	n := 0
	err := exclusively(ctx, s.poolFile(), flock.IDs, func() error {
		used, _, err := s.usedIDs("")
		n = freeRanges(used)
		return err
	})
	return n, err
}

// freeRanges counts the aligned ranges that overlap none in used.
func freeRanges(used []vps.IDRange) int {
	taken := map[uint64]bool{}
	for _, u := range used {
		end := min(uint64(u.First)+uint64(u.Size), endIDs)
		for at := max(uint64(u.First), firstIDs) / IDUnit * IDUnit; u.Size > 0 && at < end; at += IDUnit {
			taken[at] = true
		}
	}
	return (endIDs-firstIDs)/IDUnit - len(taken)
}
