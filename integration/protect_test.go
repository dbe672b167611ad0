//go:build integration

package integration

import "testing"

// Destroy refuses a protected VPS, which continues to run. Other commands work on
// it. After the protection is taken off it can be destroyed.
func TestProtect(t *testing.T) {
	hostAsBefore(t)
	s := newSite(t)
	t.Cleanup(func() { s.try("set", "--all", "--protect", "no") }) // a failed test cleans up too
	kept, other := s.vps("kept", "--protect"), s.vps("other")
	s.must("start", kept)
	checkRefusal(t, s.try("destroy", kept), 5, kept+" protected")
	checkRefusal(t, s.try("destroy", "--force", kept), 5, kept+" protected")
	checkRefusal(t, s.try("rm", "--force", "--if-exists", kept), 5, kept+" protected")
	s.wantRunning("after the refusals", kept)

	s.must("stop", "--fast", kept)
	s.must("rename", kept, kept+"-2")
	checkRefusal(t, s.try("destroy", kept+"-2"), 5, "protected")
	s.must("rename", kept+"-2", kept)

	checkRefusal(t, s.try("destroy", "--all", "--force"), 5, kept+" protected")
	if left := s.must("list", "-q").out; left != kept+"\n" {
		t.Errorf("after destroy --all there is %q; %s was not protected", left, other)
	}
	s.must("start", kept) // it is whole
	s.must("set", kept, "--protect", "no")
	s.must("destroy", "--force", kept)
}
