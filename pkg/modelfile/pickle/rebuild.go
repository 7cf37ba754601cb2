package pickle

import (
	"fmt"
	"math/bits"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// packed is how many elements of a quantized type are in one of its storage.
var packed = map[string]uint64{"quint4x2": 2, "quint2x4": 4}

// quantized looks at where _rebuild_qtensor(storage, offset, size, stride, quantizer, …)
// puts a tensor. PyTorch does not compare that with the storage, as it does for other
// tensors (set_storage_quantized_ of aten/src/ATen/native/quantized/QTensor.cpp), nor did
// older versions compare the scales with the channels (torch/_utils.py).
func (m *machine) quantized(j judged, args []Value) {
	why, known := quantizedPlace(args)
	if why == "" {
		return
	}
	f := hazard.Of("pickle-odd-argument", j.String(), fmt.Sprintf("%s makes a tensor %s", j, why)).At(m.at)
	if known {
		f.Severity = hazard.High
	}
	m.find(f)
}

// quantizedPlace says what is wrong with the arguments, and whether that is known to
// reach beyond memory.
func quantizedPlace(args []Value) (why string, known bool) {
	if len(args) < 5 {
		return "of arguments that PyTorch does not write", false
	}
	s, ok := args[0].storage()
	if !ok {
		return "in a storage of which it is not known how large it is", false
	}
	last, dims, ok := lastElement(args[1], args[2], args[3])
	switch room := uint64(s.Elements) * max(packed[s.DType], 1); {
	case !ok:
		return "of a size that is not known", false
	case last > room: // of which one is needed for each up to the last
		return fmt.Sprintf("that ends at element %d of a storage of %d", last, room), true
	}
	return badQuantizer(args[4], dims)
}

// lastElement returns how many elements of its storage a tensor needs, and its
// dimensions.
func lastElement(offset, size, stride Value) (n uint64, dims []uint64, ok bool) {
	at, ok := offset.Int()
	sizes, whole := size.Items()
	strides, also := stride.Items()
	if !ok || at < 0 || size.Kind() != Tuple || stride.Kind() != Tuple || !whole || !also || len(sizes) != len(strides) || len(sizes) > maxRank {
		return 0, nil, false
	}
	last, empty := uint64(at), false
	for i := range sizes {
		n, ok := sizes[i].Int()
		step, isInt := strides[i].Int()
		if !ok || !isInt || n < 0 || step < 0 {
			return 0, nil, false
		}
		dims = append(dims, uint64(n))
		empty = empty || n == 0
		hi, lo := bits.Mul64(uint64(max(n-1, 0)), uint64(step))
		sum, carry := bits.Add64(last, lo, 0)
		if hi != 0 || carry != 0 || sum > 1<<62 {
			sum = 1 << 62
		}
		last = sum
	}
	if empty {
		return 0, dims, true
	}
	return last + 1, dims, true
}

// badQuantizer looks at (scheme, scale, zero point) or (scheme, scales, zero points,
// axis).
func badQuantizer(quantizer Value, dims []uint64) (why string, known bool) {
	items, _ := quantizer.Items()
	unknown := "by a quantizer that is not known"
	if len(items) < 3 {
		return unknown, false
	}
	scheme, _ := items[0].Global()
	switch {
	case scheme == Global{"torch", "per_tensor_affine"} || scheme == Global{"torch", "per_tensor_symmetric"}:
		return "", false
	case scheme.Module != "torch" || len(items) != 4:
		return unknown, false
	}
	axis, ok := items[3].Int()
	if !ok {
		return unknown, false
	}
	if axis < 0 || axis >= int64(len(dims)) {
		return fmt.Sprintf("of %d dimensions with scales for number %d", len(dims), axis), true
	}
	for _, scales := range items[1:3] {
		n, ok := length(scales)
		if !ok {
			return unknown, false
		}
		if n != dims[axis] {
			return fmt.Sprintf("of %d channels with scales for %d", dims[axis], n), true
		}
	}
	return "", false
}

// length returns how many numbers are in a list or a tensor.
func length(v Value) (uint64, bool) {
	if o := v.object(); v.Kind() == List && o != nil {
		return uint64(o.count), true
	}
	t, ok := v.tensor()
	n := uint64(1)
	for _, dim := range t.Shape {
		hi, lo := bits.Mul64(n, dim)
		n, ok = lo, ok && hi == 0
	}
	return n, ok
}

// sparse says of the first sparse tensor of a pickle that nobody has looked at its
// indices, which are data: PyTorch reads and writes where they say. Up to 2.7 it compares
// them with the shape when it has loaded a file, from 2.8 on only when it is told to.
func (m *machine) sparse(j judged) {
	if m.sparsed {
		return
	}
	m.sparsed = true
	m.find(hazard.Of("pickle-odd-argument", j.String(), fmt.Sprintf(
		"%s makes a sparse tensor of indices that are data, and were not compared with its shape: whoever makes it dense, writes where they say", j)).At(m.at))
}
