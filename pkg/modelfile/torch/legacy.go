package torch

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// The pickles of a legacy file (_legacy_save in torch/serialization.py): a number that
// marks the format, the protocol, facts about the machine, the object, and the keys of
// its storages, which follow.
const (
	legacyStreams  = 5
	streamMagic    = 0
	streamProtocol = 1
	streamObject   = 3
	streamKeys     = 4

	legacyProtocol = 1001
)

// isLegacy reports whether streams are those of a legacy file. A file in which the mark
// is computed, or another protocol named, is read on as any pickles are.
func isLegacy(streams []pickle.Stream) bool {
	if len(streams) != legacyStreams {
		return false
	}
	protocol, ok := streams[streamProtocol].Root.Int()
	return streams[streamMagic].Root.Kind() == pickle.Magic && ok && protocol == legacyProtocol &&
		streams[streamKeys].Root.Kind() == pickle.List
}

// ScanLegacy reports what loading a legacy file would do: its pickles are read as o
// says, its storages are stepped over. Bytes that are no storage are a finding, and are
// handed to visit.
func ScanLegacy(ctx context.Context, c hazard.Content, o pickle.Options, report hazard.Report, visit hazard.Visit) error {
	legacy := false
	o.Torch, o.Visit = true, visit
	o.Done = func(streams []pickle.Stream) bool {
		legacy = isLegacy(streams)
		return legacy
	}
	result, err := pickle.Scan(ctx, c, o, report)
	if err != nil || !legacy {
		return err
	}
	storages, err := readStorages(c, result)
	if err != nil {
		return err
	}
	if storages.unknown != "" {
		report(hazard.Of("pickle-trailing-bytes", "", storages.unknown).At(storages.end))
		return rest(ctx, c, storages.end, visit)
	}
	return nil
}

// rest has the bytes behind a place looked at, when they can be read from there.
func rest(ctx context.Context, c hazard.Content, at int64, visit hazard.Visit) error {
	if c.At == nil || visit == nil {
		return nil
	}
	n := c.Size - at
	member := hazard.OfFile(fmt.Sprintf("bytes-at-%d", at), io.NewSectionReader(c.At, at, n), n)
	member.Depth = c.Depth + 1
	return visit(ctx, member)
}

// legacyStorages are the places of storages in a legacy file.
type legacyStorages struct {
	offsets map[string]int64
	end     int64
	unknown string // what stands behind end, when it is no storage
}

// readStorages steps over the storages behind the pickles: for each key the number of
// its elements, and those.
func readStorages(c hazard.Content, result *pickle.Result) (*legacyStorages, error) {
	out := &legacyStorages{offsets: map[string]int64{}, end: result.End}
	named, whole := pickle.Storages(result.Streams[streamObject].Root)
	types := map[string]string{}
	for _, s := range named {
		types[s.Key] = s.DType
	}
	keys, all := result.Streams[streamKeys].Root.Items()
	stream, err := open(c)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	r := bufio.NewReaderSize(stream, 4<<10)
	at, err := skip(stream, r, 0, result.End)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		name, _ := key.Text()
		item := pickle.ItemSize(types[name])
		if item == 0 {
			out.unknown = fmt.Sprintf("storage %q has elements of a size that is not known", name)
			return out, nil
		}
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return out.cut(name, err)
		}
		n := binary.LittleEndian.Uint64(head[:])
		if at += int64(len(head)); n > uint64(1<<62)/uint64(item) {
			out.unknown = fmt.Sprintf("storage %q would have %d elements", name, n)
			return out, nil
		}
		out.offsets[name] = at
		if at, err = skip(stream, r, at, at+int64(n)*item); err != nil {
			return out.cut(name, err)
		}
		out.end = at
	}
	return out, out.checkEnd(r, whole && all)
}

// seekable is content that is stepped over without reading it.
type seekable struct{ *io.SectionReader }

func (seekable) Close() error { return nil }

func open(c hazard.Content) (io.ReadCloser, error) {
	if c.At != nil {
		return seekable{io.NewSectionReader(c.At, 0, c.Size)}, nil
	}
	return c.Open()
}

// cut: the file ends inside a storage.
func (s *legacyStorages) cut(name string, err error) (*legacyStorages, error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		s.unknown = fmt.Sprintf("the file ends inside storage %q", name)
		return s, nil
	}
	return nil, err
}

func (s *legacyStorages) checkEnd(r *bufio.Reader, whole bool) error {
	_, err := r.ReadByte()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	case whole:
		s.unknown = "bytes follow the last storage"
	default:
		s.unknown = "there are more storages than are kept"
	}
	return nil
}

// skip steps forward in a stream, without reading where it can seek.
func skip(stream io.Reader, r *bufio.Reader, from, to int64) (int64, error) {
	n := to - from
	if buffered := int64(r.Buffered()); n <= buffered {
		_, err := r.Discard(int(n))
		return to, err
	}
	n -= int64(r.Buffered())
	if seeker, ok := stream.(io.Seeker); ok {
		if err := seek(seeker, n); err != nil {
			return from, err
		}
		r.Reset(stream)
		return to, nil
	}
	r.Reset(stream)
	copied, err := io.CopyN(io.Discard, r, n)
	if err != nil {
		return from + copied, err
	}
	return to, nil
}

// seek goes n bytes forward, which must be there.
func seek(s io.Seeker, n int64) error {
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if n > end-at {
		return io.ErrUnexpectedEOF
	}
	_, err = s.Seek(at+n, io.SeekStart)
	return err
}

// legacyTensors is Tensors for a legacy file.
func legacyTensors(ctx context.Context, c hazard.Content, m *Model, places bool, visit func(Tensor) error) error {
	result, err := pickle.Scan(ctx, c, pickle.Options{Torch: true, Visit: ignore, Done: isLegacy}, func(hazard.Finding) {})
	if err != nil || !isLegacy(result.Streams) {
		return err
	}
	keys, _ := result.Streams[streamKeys].Root.Items()
	m.Storages = len(keys)
	storages := &legacyStorages{}
	if places {
		if storages, err = readStorages(c, result); err != nil {
			return err
		}
	}
	m.Whole, err = tell(result, streamObject, places, func(s pickle.Storage) (string, int64, error) {
		if at, ok := storages.offsets[s.Key]; ok {
			return "", at, nil
		}
		return "", -1, nil
	}, visit)
	return err
}
