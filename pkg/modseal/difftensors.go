package modseal

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/diff"
	"github.com/modseal/modseal/pkg/internal/limits"
)

// headerFile is a weight file whose header is read.
type headerFile struct {
	artifacttypes.Layer
	source string // of the fields of its header; empty: they are not compared
}

// headersAtOnce is how many headers are read at once: latency is all they cost.
const headersAtOnce = 8

// tensorsAhead is what part of all tensors of a side, as a divisor, a file may keep
// before it is its turn: a half for all that are read at once. A shard has a few
// thousand, and never waits.
const tensorsAhead = 2 * headersAtOnce

// choose picks of the files that differ those whose content says more: weight
// files with a header, and small JSON files that both sides have.
func (s *diffSide) choose(changes diff.FileChanges, o DiffOptions) {
	layers := map[string]artifacttypes.Layer{} // by path; raw files have one of their own
	for _, l := range s.model.Layers {
		if l.Encoding == artifacttypes.EncodingRaw {
			layers[l.Path] = l
		}
	}
	for _, c := range changes.Changes {
		mine := c.Before
		if s.name == "b" {
			mine = c.After
		}
		if mine == nil || c.SameBytes() {
			continue
		}
		l, ok := layers[mine.Path]
		switch {
		case !ok:
		case headerFormat(l.Path) != "" && !o.WithoutTensors:
			f := headerFile{Layer: l}
			if c.Before != nil && c.After != nil {
				f.source = l.Path
			}
			s.addHeader(f)
		case l.Role == artifacttypes.RoleWeight && !o.WithoutTensors:
			s.skip(l.Path, "it is no safetensors or GGUF file, whose header would tell")
		case c.Change == diff.Changed && isSmallJSON(c.Before) && isSmallJSON(c.After) && len(s.configs) < limits.DiffConfigs:
			s.configs = append(s.configs, l)
		}
	}
}

func (s *diffSide) addHeader(f headerFile) {
	if len(s.headers) == limits.DiffHeaders {
		s.skip(f.Path, fmt.Sprintf("more than %d weight files differ", limits.DiffHeaders))
		return
	}
	s.headers = append(s.headers, f)
}

func (s *diffSide) skip(path, why string) {
	s.unread = append(s.unread, DiffUnread{Side: s.name, Path: path, Why: why})
}

// forgetUnreadOf leaves out tensors of files that the other side has too, and which
// could not be read there: they are not missing, but unknown.
func (s *diffSide) forgetUnreadOf(other *diffSide) {
	unread := map[string]bool{}
	for _, u := range other.unread {
		unread[u.Path] = true
	}
	s.tensors = slices.DeleteFunc(s.tensors, func(t diff.Tensor) bool { return unread[t.File] })
}

// headerFormat is the format that the name of a file announces, if its header
// lists tensors.
func headerFormat(name string) string {
	switch ext := strings.ToLower(path.Ext(name)); ext {
	case ".safetensors", ".gguf":
		return ext[1:]
	}
	return ""
}

func isSmallJSON(f *diff.File) bool {
	return f != nil && f.Encoding == string(artifacttypes.EncodingRaw) && f.Role != string(artifacttypes.RoleDataset) &&
		strings.EqualFold(path.Ext(f.Path), ".json") && f.Size <= limits.DiffConfigBytes
}

// pairHeaders has the fields of the one GGUF file of a side compared with those of
// the other's, whatever both are called: the name tells how it is quantised.
func pairHeaders(a, b *diffSide) {
	i, j := a.onlyGGUF(), b.onlyGGUF()
	if i < 0 || j < 0 || a.headers[i].source != "" || b.headers[j].source != "" {
		return
	}
	source := a.headers[i].Path + " → " + b.headers[j].Path
	a.headers[i].source, b.headers[j].source = source, source
}

func (s *diffSide) onlyGGUF() int {
	isGGUF := func(f headerFile) bool { return headerFormat(f.Path) == "gguf" }
	i := slices.IndexFunc(s.headers, isGGUF)
	if i >= 0 && slices.ContainsFunc(s.headers[i+1:], isGGUF) {
		return -1
	}
	return i
}

// readFiles reads headers and small JSON files.
func (s *diffSide) readFiles(ctx context.Context) error {
	if err := s.readConfigs(ctx); err != nil {
		return err
	}
	return s.readHeaders(ctx)
}

// readHeaders reads headers several at once, and takes what they say in the order of
// the files, so that which of them are too many does not depend on who was faster.
func (s *diffSide) readHeaders(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(headersAtOnce)
	turn := make(chan struct{})
	close(turn)
	for _, f := range s.headers {
		room, next := &tensorRoom{side: s, turn: turn}, make(chan struct{})
		group.Go(func() error {
			h, err := s.readHeader(groupCtx, f, room)
			if err == nil {
				err = room.wait(groupCtx)
			}
			if err != nil {
				return err // nobody waits any longer: the context is done
			}
			s.take(f, h)
			close(next)
			return nil
		})
		turn = next
	}
	return group.Wait()
}

// take adds what the header of a file says.
func (s *diffSide) take(f headerFile, h headerFacts) {
	if h.why == "" && len(h.tensors) > s.mostTensors-len(s.tensors) {
		h.why = s.tooManyTensors()
	}
	if h.why != "" {
		s.skip(f.Path, h.why)
		return
	}
	s.tensors = append(s.tensors, h.tensors...)
	s.fields = append(s.fields, h.fields...)
}

func (s *diffSide) tooManyTensors() string {
	return fmt.Sprintf("there are more than %d tensors", s.mostTensors)
}

// tensorRoom bounds the tensors of a file while its header is read: to some until it
// is its turn to be taken, and then to what the files before it have left.
type tensorRoom struct {
	side *diffSide
	turn <-chan struct{} // closed when the files before it were taken
	mine bool
	kept int
}

// keep asks for room for one more tensor, and waits for it where others come first.
func (r *tensorRoom) keep(ctx context.Context) error {
	if !r.mine && r.kept == r.side.mostTensors/tensorsAhead {
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
	if r.mine && r.kept >= r.side.mostTensors-len(r.side.tensors) {
		return errors.New(r.side.tooManyTensors())
	}
	r.kept++
	return nil
}

func (r *tensorRoom) wait(ctx context.Context) error {
	select {
	case <-r.turn:
		r.mine = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readConfigs compares JSON files value by value. One that is none differs as a
// file, which is said already.
func (s *diffSide) readConfigs(ctx context.Context) error {
	for _, l := range s.configs {
		raw, err := s.readConfig(ctx, l)
		if isAbsent(err) {
			continue // an archive without it
		}
		if err != nil {
			return fmt.Errorf("%q: %w", l.Path, err)
		}
		if fields, err := diff.Flatten(l.Path, raw); err == nil {
			s.fields = append(s.fields, fields...)
		}
	}
	return nil
}

func (s *diffSide) readConfig(ctx context.Context, l artifacttypes.Layer) ([]byte, error) {
	if s.tree != nil {
		return s.view.readFile(ctx, l.Path, limits.DiffConfigBytes)
	}
	raw, err := fetchBytes(ctx, s.location, l.Descriptor, limits.DiffConfigBytes, "file")
	s.metadata.Add(-int64(len(raw))) // counted as what it is
	s.configBytes.Add(int64(len(raw)))
	return raw, err
}
