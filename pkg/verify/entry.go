package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	tiles "github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	formatslog "github.com/transparency-dev/formats/log"
)

// checkForm compares the parts of a log entry with each other that sigstore-go
// has no need of: what it says is its kind; and with Rekor v2, where sigstore-go
// makes the body anew from the bundle, that body, and the size and hash of the tree
// beside those in the checkpoint. None of it is signed where it stands; what is
// told of an entry is then what was verified.
func checkForm(entry *tlog.Entry) error {
	e := entry.TransparencyLogEntry()
	var body struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(e.GetCanonicalizedBody(), &body); err != nil {
		return err
	}
	if v := e.GetKindVersion(); v.GetKind() != body.Kind || v.GetVersion() != body.APIVersion {
		return fmt.Errorf("it says that it is %s %s, and its body is %s %s", quoted(v.GetKind()), quoted(v.GetVersion()), quoted(body.Kind), quoted(body.APIVersion))
	}
	// With Rekor v1, sigstore-go has compared the proof already.
	proof := e.GetInclusionProof()
	if proof == nil || !entry.IsRekorV2() {
		return nil
	}
	var checkpoint formatslog.Checkpoint
	if _, err := checkpoint.Unmarshal([]byte(proof.GetCheckpoint().GetEnvelope())); err != nil {
		return err
	}
	if proof.GetTreeSize() < 0 || uint64(proof.GetTreeSize()) != checkpoint.Size || !bytes.Equal(proof.GetRootHash(), checkpoint.Hash) {
		return errors.New("its proof is for another tree than its checkpoint")
	}
	if proof.GetLogIndex() != e.GetLogIndex() {
		return fmt.Errorf("its index is %d, and that of its proof %d", e.GetLogIndex(), proof.GetLogIndex())
	}
	return tiles.VerifyInclusionProof(e, &checkpoint)
}
