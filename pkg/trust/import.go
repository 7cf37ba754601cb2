package trust

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Action is what an import does with an item.
type Action string

// Actions of an import.
const (
	ActionAdd     Action = "add"     // there is none of this kind and name
	ActionKeep    Action = "keep"    // the same is there
	ActionRefresh Action = "refresh" // the same is there, and was fetched earlier
	ActionUpdate  Action = "update"  // an older one of the same TUF repository is there, and the digest of the file was given
	ActionReplace Action = "replace" // another one is there, and it was asked to be replaced
	ActionRefuse  Action = "refuse"
)

// Imported is what an import does, or would do, with one item.
type Imported struct {
	Item   Item   `json:"-"`
	Action Action `json:"action"`
	Why    string `json:"why,omitempty"` // of a refusal
}

// Import is what an import does, or would do.
type Import struct {
	Digest digest.Digest // of the file
	Items  []Imported
}

// ImportError says that nothing was imported, because some items may not be.
type ImportError struct {
	Name   string // of the file
	Import Import
}

func (e *ImportError) Error() string {
	var why []string
	for _, i := range e.Import.Items {
		if i.Action == ActionRefuse {
			why = append(why, i.Item.label()+": "+i.Why)
		}
	}
	return fmt.Sprintf("%s: nothing was imported: %s", e.Name, strings.Join(why, "; "))
}

// DigestError says that a file is not the one that was meant.
type DigestError struct {
	Name      string // of the file
	Want, Got digest.Digest
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s: its digest is %s, and %s was given", e.Name, e.Got, e.Want)
}

// ImportOptions say how to import.
type ImportOptions struct {
	// Digest is what the file must hash to; empty takes any file. A file whose
	// digest somebody gave may update what came from the same TUF repository and
	// was fetched earlier.
	Digest digest.Digest
	// Replace takes what differs from what is there, what was fetched earlier,
	// and what is good for old signatures only.
	Replace bool
	DryRun  bool      // judge and change nothing
	Now     time.Time // zero means now
}

// Import keeps all items of a file that [Encode] wrote, or none of them. A file
// that has another digest than the one given is a [*DigestError]; one with items
// that may not be kept is an [*ImportError], which tells about all of them.
func (s Store) Import(ctx context.Context, name string, data []byte, o ImportOptions) (Import, error) {
	res := Import{Digest: digest.FromBytes(data)}
	if o.Digest != "" && o.Digest != res.Digest {
		return res, &DigestError{Name: name, Want: o.Digest, Got: res.Digest}
	}
	items, err := Decode(name, data)
	if err != nil {
		return res, err
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	judged := func(have []Item) ([]Item, error) {
		var refused bool
		for _, it := range items {
			j := judge(it, have, o)
			res.Items = append(res.Items, j)
			refused = refused || j.Action == ActionRefuse
			if j.Action != ActionKeep {
				have = put(have, it)
			}
		}
		if refused {
			return nil, &ImportError{Name: name, Import: res}
		}
		return have, nil
	}
	if o.DryRun {
		have, err := s.Items()
		if err == nil {
			_, err = judged(have)
		}
		return res, err
	}
	return res, s.change(ctx, judged)
}

// judge compares an item with what is there of its kind and name.
func judge(it Item, have []Item, o ImportOptions) Imported {
	if it.Fetched.After(o.Now.Add(MaxClockSkew)) {
		return Imported{it, ActionRefuse, "it was fetched in the future, at " + stamp(it.Fetched) + ": the clock here or where it was exported is wrong"}
	}
	expired := it.State(o.Now) == StateExpired && !o.Replace
	i := slices.IndexFunc(have, it.sameName)
	switch {
	case i < 0 && expired:
		return Imported{it, ActionRefuse, "everything in it has expired: it is good for old signatures only"}
	case i < 0:
		return Imported{it, ActionAdd, ""}
	}
	was := have[i]
	same := was.Digest() == it.Digest()
	switch {
	case same && !it.Fetched.After(was.Fetched):
		return Imported{it, ActionKeep, ""}
	case same && sameOrigin(it, was):
		return Imported{it, ActionRefresh, ""}
	case o.Replace:
		return Imported{it, ActionReplace, ""}
	case it.Fetched.Before(was.Fetched):
		return Imported{it, ActionRefuse, fmt.Sprintf("the one that is here is newer: it was fetched %s, this one %s", stamp(was.Fetched), stamp(it.Fetched))}
	case expired:
		return Imported{it, ActionRefuse, "everything in it has expired: it is good for old signatures only"}
	case same:
		return Imported{it, ActionRefuse, "the same bytes are here, from " + origin(was) + ", and would be refreshed from " + origin(it) + " from now on"}
	case o.Digest != "" && it.TUF != nil && sameOrigin(it, was):
		return Imported{it, ActionUpdate, ""}
	}
	return Imported{it, ActionRefuse, fmt.Sprintf("another one is here (%s from %s), and this one is %s from %s",
		short(was.Digest()), origin(was), short(it.Digest()), origin(it))}
}

func sameOrigin(a, b Item) bool {
	if a.TUF == nil || b.TUF == nil {
		return a.TUF == b.TUF
	}
	return a.TUF.Same(*b.TUF)
}

func origin(it Item) string {
	if it.Source == "" {
		return "nowhere known"
	}
	return it.Source
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "nobody knows when"
	}
	return t.UTC().Format(time.RFC3339)
}

func short(d digest.Digest) string { return "sha256:" + d.Encoded()[:shortFingerprint] }
