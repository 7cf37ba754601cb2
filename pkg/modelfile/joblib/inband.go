package joblib

import "github.com/modseal/modseal/pkg/modelfile/pickle"

// visit names the arrays that were stepped over, and lists those that NumPy pickled
// itself.
func (s *scanner) visit(name string, v pickle.Value) pickle.Step {
	if i, ok := s.places[v.Identity()]; ok && (v.Kind() == pickle.Array || v.Kind() == pickle.Call) {
		if s.room -= len(name); s.room < 0 {
			s.listed = false
		} else if s.arrays[i].Name == "" {
			s.arrays[i].Name = name
		}
		return pickle.Over // or what it has in it was seen
	}
	a, ok := inBand(v)
	if !ok {
		return pickle.Into
	}
	a.Name = name
	if !s.take(a) {
		return pickle.End
	}
	s.places[v.Identity()] = len(s.arrays)
	s.arrays = append(s.arrays, a)
	if a.Size < 0 {
		return pickle.Into // objects have more in them
	}
	return pickle.Over
}

// inBand returns the array that a call makes: _reconstruct(class, shape, type), with the
// state (version, shape, dtype, is Fortran, data), or from protocol 5 on
// _frombuffer(buffer, dtype, shape, order) (numpy/core/src/multiarray/methods.c and
// numpy/core/numeric.py, versions 1.17 to 2.3).
func inBand(v pickle.Value) (Array, bool) {
	fn, ok := v.Global()
	if !ok || v.Kind() != pickle.Call {
		return Array{}, false
	}
	items, at := []pickle.Value{}, 0
	switch fn.Name {
	case "_reconstruct":
		items, _ = v.State().Items()
		at = 1
	case "_frombuffer":
		items, _ = v.Items()
	}
	if fn.Module != "numpy.core.multiarray" && fn.Module != "numpy._core.multiarray" &&
		fn.Module != "numpy.core.numeric" && fn.Module != "numpy._core.numeric" || len(items) < at+3 {
		return Array{}, false
	}
	shape, typ := items[1], items[at+1]
	if at == 0 {
		shape = items[2]
	} else {
		typ = items[2]
	}
	a := Array{Offset: -1, Size: -1}
	d, err := readDType(typ)
	if err == nil {
		a.DType = d.Name
		a.Shape, err = readShape(shape)
	}
	if err != nil {
		return Array{}, false
	}
	a.Objects = d.Objects
	if size, ok := product(a.Shape, d.Size); ok && !d.Objects {
		a.Size = size
	}
	return a, true
}
