package materialize_test

import (
	"github.com/klauspost/compress/zstd"
)

func zstdBytes(plain []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(plain, nil)
}
