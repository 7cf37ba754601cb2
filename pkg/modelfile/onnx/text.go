package onnx

import "unicode/utf8"

func (d *decoder) metadata(f field) error {
	key, value, err := d.pair(f, "metadata_props")
	if err != nil {
		return err
	}
	if _, dup := d.m.Metadata[key]; dup {
		return invalid(f.at, "duplicate key %q in metadata_props", key)
	}
	if d.metadataSize += len(key) + len(value) + 64; d.metadataSize > MaxMetadataSize {
		return nil
	}
	if d.m.Metadata == nil {
		d.m.Metadata = map[string]string{}
	}
	d.m.Metadata[key] = value
	return nil
}

// pair reads a StringStringEntryProto. Its value may be a whole document, of
// which what fits MaxMetadataSize is kept.
func (d *decoder) pair(f field, what string) (key, value string, err error) {
	if err := f.is(wireBytes, what); err != nil {
		return "", "", err
	}
	err = d.fields(what, f.end, func(f field) error {
		switch f.num {
		case 1:
			return d.text(f, what+" key", &key)
		case 2:
			if err := f.is(wireBytes, what+" value"); err != nil || f.end-d.pos > MaxMetadataSize {
				return err
			}
			b, err := d.take(f.end)
			value = string(b)
			return err
		}
		return nil
	})
	return key, value, err
}

// text reads a short string.
func (d *decoder) text(f field, what string, s *string) error {
	b, err := d.appendText(nil, f, what)
	*s = string(b)
	return err
}

// appendText reads a short string behind what is in b.
func (d *decoder) appendText(b []byte, f field, what string) ([]byte, error) {
	if err := f.is(wireBytes, what); err != nil {
		return b, err
	}
	if n := f.end - d.pos; n > MaxTextSize {
		return b, invalid(f.at, "%s of %d bytes is longer than %d", what, n, MaxTextSize)
	}
	for d.pos < f.end {
		c, err := d.next()
		if err != nil {
			return b, err
		}
		b = append(b, c)
	}
	if !utf8.Valid(b) {
		return b, invalid(f.at, "%s is not valid UTF-8", what)
	}
	return b, nil
}
