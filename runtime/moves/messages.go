package moves

import (
	"encoding/json"

	"croft/internal/fail"
	"croft/internal/state"
	"croft/internal/vps"
)

// The source asks and the target answers each Request with one Reply.

// The kinds of requests.
const (
	AskCheck   = "check"   // whether the target could have the VPS; it changes nothing
	AskBlobs   = "blobs"   // which blobs the target has
	AskFiles   = "files"   // data follow: the archive with the first part. The target has copied it when it replies
	AskSaved   = "saved"   // data follow: the images of the processes that Checkpoint describes. Before AskLast
	AskLast    = "last"    // data follow: the archive with the rest. The reply says that there is a whole incoming copy
	AskKnow    = "know"    // what the target knows of Token
	AskDrop    = "drop"    // the target deletes its incoming copy
	AskRelease = "release" // the VPS belongs to the target, which starts it if it ran before
)

// A Request is what the source asks.
type Request struct {
	Ask   string   `json:"ask"`
	Token string   `json:"token"`
	Name  vps.Name `json:"name,omitempty"`  // of the VPS on the target, of AskKnow and AskDrop
	Offer *Offer   `json:"offer,omitempty"` // of AskCheck
	Blobs []string `json:"blobs,omitempty"` // of AskBlobs: digests
	// Checkpoint describes the saved processes. Of AskSaved.
	Checkpoint *state.Checkpoint `json:"checkpoint,omitempty"`
	// Secrets are the values of the credentials, by their names. Of AskFiles.
	Secrets map[string][]byte `json:"secrets,omitempty"`
}

// An Offer describes a VPS that is to be moved.
type Offer struct {
	Protocol     int             `json:"protocol"`
	From         string          `json:"from"` // the source, as it names itself
	Architecture string          `json:"architecture"`
	Settings     json.RawMessage `json:"settings"` // as in an archive
	Name         vps.Name        `json:"name"`     // on the target; "": as on the source
	// Networks are the networks of the target to use for those of the source.
	Networks  map[string]string `json:"networks,omitempty"`
	NoNetwork bool              `json:"noNetwork,omitempty"`
	Runs      bool              `json:"runs,omitempty"`
	Bytes     int64             `json:"bytes"` // of its files, about
	// SnapshotBytes is about the size of the files that only its snapshots have.
	SnapshotBytes int64    `json:"snapshotBytes,omitempty"`
	Template      []string `json:"template"`
	Live          *Live    `json:"live,omitempty"` // its processes go with it; nil: it boots there
}

// A Reply is what the target answers.
type Reply struct {
	Failed   *Failure `json:"failed,omitempty"` // nil: it is done
	Problems []string `json:"problems,omitempty"`
	Notes    []string `json:"notes,omitempty"` // what the user should know, in words
	Has      []string `json:"has,omitempty"`   // digests of AskBlobs
	Know     There    `json:"know,omitempty"`
	Name     vps.Name `json:"name,omitempty"` // of the VPS on the target
	// NotStarted says why a released VPS does not run. It belongs to the target all the same.
	NotStarted string `json:"notStarted,omitempty"`
}

// A Failure is an error of the target.
type Failure struct {
	Kind    fail.Kind `json:"kind"`
	Message string    `json:"message"`
}

// FailureOf returns err for the other host; nil if that is nil.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	return &Failure{Kind: fail.KindOf(err), Message: err.Error()}
}

// Err returns the error of the target, which is named host.
func (r Reply) Err(host string) error {
	if r.Failed == nil {
		return nil
	}
	return fail.New(r.Failed.Kind, "%s: %s", host, r.Failed.Message)
}
