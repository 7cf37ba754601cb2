package modseal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/internal/statefile"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/verify"
)

// acceptedFile remembers the newest version of each model that was accepted here,
// for policies that refuse older ones.
const acceptedFile = "accepted.json"

// rememberWait is how long another process may hold the file: it holds it for a
// few milliseconds.
const rememberWait = 10 * time.Second

type acceptedState struct {
	Version int                      `json:"version"`
	Models  map[string]verify.Memory `json:"models"`
}

const acceptedVersion = 1

// remembered returns what was accepted before of the subject of the rules, when
// they ask for it. A memory that cannot be read is no empty one: it would let any
// older version pass.
func (c *Client) remembered(r policy.Rules) (*verify.Memory, error) {
	if !r.Remembers() {
		return nil, nil //nolint:nilnil // nothing to remember is an answer
	}
	if c.o.StateDir == "" {
		return nil, undecided(r.Name+": freshness with remember needs a place to remember in, and there is no state directory",
			"set XDG_STATE_HOME or HOME")
	}
	name := c.o.state(acceptedFile)
	raw, err := statefile.Read(name, limits.StateBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // so is the first time
	}
	if err != nil {
		return nil, rememberError(name, err)
	}
	state, err := parseAccepted(raw)
	if err != nil {
		return nil, rememberError(name, err)
	}
	if m, ok := state.Models[r.Subject]; ok {
		return &m, nil
	}
	return nil, nil //nolint:nilnil // of another model
}

func rememberError(name string, err error) error {
	return undecided(fmt.Sprintf("what was accepted before cannot be read: %s: %v", name, err),
		"restore the file, or remove it to begin anew: then the next version that is accepted is the oldest one")
}

func parseAccepted(raw []byte) (acceptedState, error) {
	state := acceptedState{Version: acceptedVersion, Models: map[string]verify.Memory{}}
	if len(raw) == 0 {
		return state, nil
	}
	if err := json.Unmarshal(raw, &state); err != nil {
		return state, err
	}
	if state.Version != acceptedVersion {
		return state, fmt.Errorf("version %d is unknown", state.Version)
	}
	if state.Models == nil {
		state.Models = map[string]verify.Memory{}
	}
	return state, nil
}

// remember writes down what v accepted, where its rules ask for it.
func (c *Client) remember(ctx context.Context, v verify.Verified) error {
	memories := v.Remember()
	for _, subject := range slices.Sorted(maps.Keys(memories)) {
		if err := c.rememberOne(ctx, subject, memories[subject]); err != nil {
			return fmt.Errorf("remember what was accepted: %w", err)
		}
	}
	return nil
}

func (c *Client) rememberOne(ctx context.Context, subject string, m verify.Memory) error {
	name := c.o.state(acceptedFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := statefile.LockWithin(ctx, name, rememberWait)
	if err != nil {
		return err
	}
	raw, err := f.Read(limits.StateBytes)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	state, err := parseAccepted(raw)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	before, known := state.Models[subject]
	if known {
		// Another process may have accepted a newer one meanwhile.
		m = m.Newest(before)
	}
	if known && m == before {
		return f.Close()
	}
	state.Models[subject] = m
	if raw, err = json.MarshalIndent(state, "", "  "); err == nil {
		err = f.Replace(raw)
	}
	return errors.Join(err, f.Close())
}
