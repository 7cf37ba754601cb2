package modelfile

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hf"
)

// maxTemplateSize bounds a chat template in a file of its own.
const maxTemplateSize = 1 << 20

// texts is what the files beside the weights say. All but the places are nil
// when there is no such file or it cannot be understood.
type texts struct {
	config      *hf.Config
	configPlace string
	card        *hf.FrontMatter
	cardPlace   string
	adapter     *hf.Adapter
	adapterAt   string
	tools       bool
}

// index is an index of sharded weights and its place.
type index struct {
	*hf.Index
	path  string
	files map[string]int // full path to the number of tensors it should hold
	size  uint64         // of its tensors that were found
}

func (x *inspector) readTexts(ctx context.Context) error {
	readers := []struct {
		name  string
		limit int64
		read  func(f *File, b []byte) error
	}{
		{"config.json", hf.MaxJSONSize, x.readConfig},
		{"README.md", 0, x.readCard},
		{"adapter_config.json", hf.MaxJSONSize, x.readAdapter},
		{"tokenizer_config.json", hf.MaxJSONSize, x.readTokenizerConfig},
		{"chat_template.jinja", maxTemplateSize, x.readTemplate},
	}
	for _, r := range readers {
		if f := x.topmost(r.name); f != nil {
			if err := x.readOne(ctx, f, r.limit, r.read); err != nil {
				return err
			}
		}
	}
	for _, f := range x.sorted {
		if strings.HasSuffix(f.Path, ".index.json") && f.Role != roleWeight && f.Role != roleDataset {
			if err := x.readOne(ctx, f, hf.MaxJSONSize, x.readIndex); err != nil {
				return err
			}
		}
	}
	return nil
}

// readOne hands the content of f to read. What read does not understand is a
// warning; a file that cannot be read is an error. A limit of 0 means that the
// begin of the file is enough.
func (x *inspector) readOne(ctx context.Context, f *File, limit int64, read func(*File, []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if limit > 0 && f.Size > limit {
		x.warn("%q: %d bytes are more than %d", f.Path, f.Size, limit)
		return nil
	}
	if limit == 0 {
		limit = hf.MaxFrontMatterSize + 1<<10 // room for the fences
	}
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%q: %w", f.Path, err)
	}
	defer r.Close()
	b, err := readPrefix(f, r, limit)
	if err != nil {
		return err
	}
	if err := read(f, b); err != nil {
		x.warn("%q: %v", f.Path, err)
	}
	return nil
}

func (x *inspector) readConfig(f *File, b []byte) (err error) {
	x.config, err = hf.ParseConfig(b)
	x.configPlace = f.Path
	return err
}

func (x *inspector) readCard(f *File, b []byte) (err error) {
	x.card, err = hf.ParseFrontMatter(b)
	x.cardPlace = f.Path
	return err
}

func (x *inspector) readAdapter(f *File, b []byte) (err error) {
	x.adapter, err = hf.ParseAdapter(b)
	x.adapterAt = f.Path
	return err
}

func (x *inspector) readTokenizerConfig(_ *File, b []byte) error {
	tools, err := hf.ChatTemplateUsesTools(b)
	x.tools = x.tools || tools
	return err
}

func (x *inspector) readTemplate(_ *File, b []byte) error {
	x.tools = x.tools || hf.TemplateUsesTools(string(b))
	return nil
}

// readIndex also checks that the files which an index names are there.
func (x *inspector) readIndex(f *File, b []byte) error {
	parsed, err := hf.ParseIndex(b)
	if err != nil {
		return err
	}
	idx := &index{Index: parsed, path: f.Path, files: map[string]int{}}
	for _, file := range parsed.WeightMap {
		idx.files[path.Join(path.Dir(f.Path), file)]++
	}
	var missing []string
	for file := range idx.files {
		if x.files[file] == nil {
			missing = append(missing, file)
		}
	}
	x.indexes = append(x.indexes, idx)
	if len(missing) > 0 {
		return fmt.Errorf("files that it names are missing: %s", someOf(missing))
	}
	return nil
}
