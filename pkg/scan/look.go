package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile/container"
	"github.com/modseal/modseal/pkg/modelfile/gguf"
	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/joblib"
	"github.com/modseal/modseal/pkg/modelfile/onnx"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
	"github.com/modseal/modseal/pkg/modelfile/replay"
	"github.com/modseal/modseal/pkg/modelfile/safetensors"
	"github.com/modseal/modseal/pkg/modelfile/sniff"
	"github.com/modseal/modseal/pkg/modelfile/tensorflow"
	"github.com/modseal/modseal/pkg/modelfile/torch"
	"github.com/modseal/modseal/pkg/modelfile/zipfile"
)

// look examines a file, or a member of a container in it. It is the one place that
// knows all formats: by content first, then by name.
func (x *examination) look(ctx context.Context, c hazard.Content, member string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	report := x.report(member)
	if c.Depth > 0 {
		if x.members++; x.members > limits.ScanMembers {
			x.tooMany()
			return nil
		}
	}
	c = x.metered(c)
	prefix, err := head(c)
	if err != nil {
		return err
	}
	kind := x.kindOf(c, prefix)
	if c.Depth == 0 {
		x.file.Format = string(kind)
	}
	if f, ok := disguise(c.Name, kind); ok {
		report(f)
	}
	if f, ok := program(c.Name, x.role, kind, c.Depth); ok {
		report(f)
	}
	if kind != sniff.Pickle && kind != sniff.TorchLegacy && !kind.Container() { // whose readers say what is behind
		if err := x.polyglot(c, report); err != nil {
			return err
		}
	}
	if err := x.alsoPickle(ctx, c, kind, prefix, member); err != nil {
		return err
	}
	return x.read(ctx, c, kind, prefix, member)
}

func (x *examination) tooMany() {
	if !x.full {
		x.full = true
		x.report("")(hazard.Of(hazard.FileUnfinished, "", fmt.Sprintf("it has more than %d members", limits.ScanMembers)))
	}
}

// head returns the first bytes, as many as tell formats apart.
func head(c hazard.Content) ([]byte, error) {
	b := make([]byte, sniff.Size)
	var n int
	var err error
	if c.At != nil {
		n, err = c.At.ReadAt(b[:max(min(int64(len(b)), c.Size), 0)], 0)
	} else {
		var r io.ReadCloser
		if r, err = c.Open(); err != nil {
			return nil, err
		}
		defer r.Close()
		n, err = io.ReadFull(r, b)
	}
	if n == 0 && errors.Is(err, hazard.ErrBroken) {
		return nil, err // nothing can be had of a damaged stream, which is not empty
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return b[:n], err
}

// kindOf is the format of the content. What has no mark is told by what the name
// says, where the content bears it out.
func (x *examination) kindOf(c hazard.Content, prefix []byte) sniff.Kind {
	kind := sniff.Of(prefix)
	switch e := extension(c.Name); {
	case kind != "" && kind != sniff.Zlib && kind != sniff.LZMA:
	case e == ".onnx", e == "" && onnx.Sniff(prefix):
		return formatONNX
	case e == ".pb" || e == ".meta":
		return formatTensorFlow
	case kind == "" && c.Hint == hazard.InKeras:
		return formatJSON
	}
	return kind
}

// read has the reader of its format look into the content.
func (x *examination) read(ctx context.Context, c hazard.Content, kind sniff.Kind, prefix []byte, member string) error {
	report := x.report(member)
	visit := func(ctx context.Context, m hazard.Content) error { return x.look(ctx, m, inside(member, m.Name)) }
	switch {
	case kind.Container():
		handled, err := container.Scan(ctx, kind, c, report, visit)
		if err == nil && !handled {
			report(hazard.Of(hazard.FileUnread, string(kind), "nothing reads "+string(kind)))
		}
		return err
	case kind == sniff.Pickle, kind == sniff.TorchLegacy:
		more := false
		err := x.pickle(ctx, c, kind, func(f hazard.Finding) {
			more = more || f.Rule == "pickle-trailing-bytes"
			report(f)
		}, visit)
		if err != nil || !more {
			return err
		}
		return x.polyglot(c, report)
	case kind == sniff.GGUF, kind == sniff.Safetensors, kind == formatONNX, kind == formatTensorFlow:
		return x.header(ctx, c, kind, report)
	case kind.Native(), kind == sniff.TFLite:
		return nil
	case kind == sniff.Script:
		return x.text(ctx, c, kind, prefix, report)
	}
	if c.Depth == 0 && isWeightFormat(extension(c.Name)) && c.Size > 0 {
		report(hazard.Of(hazard.FileInvalid, "", notItsFormat(c.Name, prefix)))
	}
	if done, err := x.unmarked(ctx, c, prefix, report, visit); done || err != nil {
		return err
	}
	return x.text(ctx, c, kind, prefix, report)
}

// isWeightFormat reports extensions of formats that have a mark, so that a file
// without it is none.
func isWeightFormat(e string) bool {
	switch e {
	case ".safetensors", ".gguf", ".h5", ".hdf5", ".keras", ".npz", ".tflite":
		return true
	}
	return false
}

func notItsFormat(name string, prefix []byte) string {
	if bytes.HasPrefix(prefix, []byte("version https://git-lfs.github.com/spec/")) {
		return "it is a pointer of Git LFS, and not the file that it stands for: fetch that with git lfs pull"
	}
	return "it is no " + strings.TrimPrefix(extension(name), ".") + " file"
}

// pickle reads what begins as a pickle.
func (x *examination) pickle(ctx context.Context, c hazard.Content, kind sniff.Kind, report hazard.Report, visit hazard.Visit) error {
	allow := x.allow
	if c.Hint == hazard.InTorch {
		allow, report = x.inScript(allow, report)
	}
	o := pickle.Options{Allow: allow, Torch: c.Hint == hazard.InTorch || kind == sniff.TorchLegacy, Visit: visit}
	if c.Hint == hazard.InTorch && c.Sibling != nil {
		// The storages of data.pkl are in data/, those of constants.pkl in constants/.
		o.Storage = func(key string) (int64, bool) {
			name, _, _ := strings.Cut(key, "\x00") // as C++ hands it to miniz
			return c.Sibling(strings.TrimSuffix(c.Name, path.Ext(c.Name)) + "/" + name)
		}
	}
	if kind == sniff.TorchLegacy {
		return torch.ScanLegacy(ctx, c, o, report, visit)
	}
	var err error
	if c.Hint == hazard.InTorch {
		_, err = pickle.Scan(ctx, c, o, report)
	} else {
		_, err = joblib.Scan(ctx, c, o, report)
	}
	return err
}

// header reads formats of which the header tells everything.
func (x *examination) header(ctx context.Context, c hazard.Content, kind sniff.Kind, report hazard.Report) error {
	c, done, err := inParts(c)
	if err == nil {
		err = errors.Join(x.headerOf(ctx, c, kind, report), done())
	}
	var (
		badTensors *safetensors.Error
		badGGUF    *gguf.Error
		badONNX    *onnx.Error
		badTF      *tensorflow.Error
	)
	switch {
	case errors.As(err, &badTensors) || errors.As(err, &badGGUF) || errors.As(err, &badONNX) || errors.As(err, &badTF):
		report(hazard.Of(hazard.FileInvalid, string(kind), "it is no valid "+string(kind)+" file: "+err.Error()))
		return nil
	case replay.Refused(err): // what else is in the container can still be read
		report(hazard.Of(hazard.FileUnread, string(kind), "its header was not read to its end: "+err.Error()))
		return nil
	}
	return err
}

// inParts makes content that comes as a stream readable at any place, as long as done
// was not called.
func inParts(c hazard.Content) (_ hazard.Content, done func() error, err error) {
	r, size, err := replay.At(c)
	if err != nil {
		return c, nil, err
	}
	c.At, c.Size = r, size
	return c, r.Close, nil
}

func (x *examination) headerOf(ctx context.Context, c hazard.Content, kind sniff.Kind, report hazard.Report) error {
	switch kind { //nolint:exhaustive // those that header is called for
	case sniff.Safetensors:
		_, err := safetensors.Walk(c.At, c.Size, nil)
		return err
	case sniff.GGUF:
		h, err := gguf.Walk(c.At, c.Size, nil)
		if err != nil {
			return err
		}
		h.Report(report)
		return templates(c.At, h.ChatTemplates(), report)
	case formatONNX:
		return onnx.Scan(c.At, c.Size, report)
	}
	return x.tensorflow(ctx, c, report)
}

func templates(r io.ReaderAt, list []gguf.Template, report hazard.Report) error {
	for _, t := range list {
		if t.Size > limits.ScanTextBytes {
			report(hazard.Of(hazard.FileUnfinished, t.Key, fmt.Sprintf("the chat template has %d bytes, and %d are looked at", t.Size, limits.ScanTextBytes)).At(t.Offset))
		}
		text, err := io.ReadAll(io.NewSectionReader(r, t.Offset, min(t.Size, limits.ScanTextBytes)))
		if err != nil {
			return err
		}
		checkTemplate(string(text), t.Offset, report)
	}
	return nil
}

func (x *examination) tensorflow(ctx context.Context, c hazard.Content, report hazard.Report) error {
	kind := tensorflow.Graph
	switch base := path.Base(c.Name); {
	case base == "keras_metadata.pb":
		return tensorflow.KerasMetadata(c.At, c.Size, func(json io.Reader, offset int64) error {
			return kerasText(json, func(f hazard.Finding) {
				f.Offset += offset
				report(f)
			})
		})
	case base == "saved_model.pb":
		kind = tensorflow.SavedModel
	case extension(base) == ".meta":
		kind = tensorflow.MetaGraph
	case base == "fingerprint.pb":
		return nil // hashes of a saved model
	}
	_, err := tensorflow.Scan(ctx, c.At, c.Size, kind, report)
	return err
}

// polyglot reports a zip behind something else: programs that look for a zip find it
// from the end of a file, others go by its beginning. In a pickle it has to stand
// behind the end: bytes of the pickle can be a zip, and are looked at as one.
func (x *examination) polyglot(c hazard.Content, report hazard.Report) error {
	if c.Depth > 0 {
		return nil // what loads a member loads it as what the container is for
	}
	is, err := zipfile.Within(c.At, c.Size)
	if is {
		report(hazard.Of("archive-polyglot", string(sniff.Zip), "a zip archive ends behind what the file begins as"))
	}
	return err
}
