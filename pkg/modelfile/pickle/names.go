package pickle

import (
	"fmt"
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// Global is what a pickle names: a class or a function of a module. Text in it comes
// from the file.
type Global struct {
	Module string `json:"module"`
	Name   string `json:"name"`
}

// String writes module and name with a point between them, or with a colon when the
// name has points of its own.
func (g Global) String() string {
	if strings.Contains(g.Name, ".") {
		return g.Module + ":" + g.Name
	}
	return g.Module + "." + g.Name
}

// ParseGlobal reads what [Global.String] writes.
func ParseGlobal(text string) (Global, error) {
	module, name, ok := strings.Cut(text, ":")
	if !ok {
		if i := strings.LastIndexByte(text, '.'); i >= 0 {
			module, name = text[:i], text[i+1:]
		}
	}
	g := Global{module, name}
	if module == "" || name == "" || strings.ContainsAny(text, "*? \t\r\n") {
		return Global{}, fmt.Errorf("%q: a global is MODULE.NAME, or MODULE:NAME.NAME for a name with points; patterns are not possible", text)
	}
	return g, nil
}

// Allowed are globals that are clean in addition to those that always are.
type Allowed map[Global]bool

// Denied reports whether a global is known to be dangerous, or has a name that says
// nothing of what it reaches, for which nobody vouches but a person who looked.
func Denied(g Global) bool { return judge(g, 2, Options{}, false).verdict == hazard.Dangerous }

// judged is a global with what is thought of it.
type judged struct {
	Global
	verdict hazard.Verdict // Clean, Suspicious or Dangerous
	denial  denial         // when dangerous
	rule    string         // of the finding, when not clean
	check   check          // of the arguments of a call
}

// String is what a finding names as its subject.
func (j judged) String() string { return j.Global.String() }

// judge says what is thought of a global that a stream of the given protocol names.
// joblib says that arrays may follow.
func judge(g Global, protocol int, o Options, joblib bool) judged {
	j := judged{Global: g, verdict: hazard.Dangerous}
	script := o.Torch && isScript(g)
	if rule, d := badForm(g, o.Allow); rule != "" && !script {
		j.rule, j.denial = rule, d
		return j
	}
	switch {
	case o.Allow[g] && !isDunder(g.Name):
		j.verdict = hazard.Clean
		return j
	case o.Torch && scriptNames[g]:
		j.verdict, j.check = hazard.Clean, isIdentity
		return j
	case script:
		j.verdict, j.rule = hazard.Suspicious, "pickle-unknown-global"
		return j
	}
	names := []Global{g}
	if to := python3(g); to != g {
		names = append(names, to)
	}
	for i, name := range names {
		c, checked := checkedNames[name]
		switch {
		case i > 0 && protocol >= 3:
			// Nobody translates it: it is another module of that old name.
		case checked && (c != isJoblib || joblib):
			j.verdict, j.check = hazard.Clean, c
			return j
		case cleanNames[name]:
			j.verdict = hazard.Clean
			if name.Module == "numpy" {
				j.check = isNotCalled
			}
			return j
		}
	}
	for _, name := range names {
		if d, ok := denied(name); ok {
			j.rule, j.denial = "pickle-dangerous-global", d
			return j
		}
	}
	j.verdict, j.rule = hazard.Suspicious, "pickle-unknown-global"
	return j
}

// badForm returns the rule that the spelling of a global breaks, whatever it names.
func badForm(g Global, allowed Allowed) (rule string, d denial) {
	for part := range strings.SplitSeq(g.Name, ".") {
		if isDunder(part) && !knownDunder(g) {
			return "pickle-dunder-name", denial{hazard.Critical, "reaches into the inside of Python"}
		}
	}
	for part := range strings.SplitSeq(g.Module, ".") {
		if isDunder(part) && g.Module != "__main__" && g.Module != "__builtin__" && g.Module != "__future__" {
			return "pickle-dunder-name", denial{hazard.Critical, "reaches into the inside of Python"}
		}
	}
	if strings.Contains(g.Name, ".") && !allowed[g] {
		return "pickle-dotted-name", denial{hazard.High, "follows attributes, by which anything that its module imported can be reached"}
	}
	return "", denial{}
}

// isScript: a class of TorchScript, whose code is in the same archive. torch finds it
// there, and Python would not find a module of that name.
func isScript(g Global) bool {
	rest, ok := strings.CutPrefix(g.Module+".", "__torch__.")
	for part := range strings.SplitSeq(rest+g.Name, ".") {
		ok = ok && !isDunder(part)
	}
	return ok && !strings.Contains(g.Name, ".")
}

func isDunder(name string) bool {
	return len(name) > 4 && strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__")
}

// knownDunder: a name that has a reason of its own on the list of the denied.
func knownDunder(g Global) bool {
	_, ok := deniedNames["builtins."+g.Name]
	return ok && python3(g).Module == "builtins"
}

// hijacks are the attributes by which an object changes what its class, its methods or
// its module are, when BUILD sets them; and those by which it tells NumPy and PyTorch
// where its data are: they read there, and write when an element is set, whatever the
// address is.
var hijacks = words(`__class__ __bases__ __base__ __mro__ __dict__ __globals__ __builtins__ __code__ __closure__ __defaults__
	__kwdefaults__ __func__ __self__ __wrapped__ __loader__ __spec__ __path__ __file__ __import__ __call__ __new__
	__init__ __del__ __reduce__ __reduce_ex__ __setstate__ __getstate__ __getattr__ __getattribute__ __setattr__
	__getitem__ __setitem__ __missing__ __iter__ __next__ __len__ __hash__ __eq__ __repr__ __str__ __format__
	__get__ __set__ __init_subclass__ __subclasses__ __subclasshook__ __instancecheck__ __enter__ __exit__
	__array__ __array_interface__ __array_struct__ __array_prepare__ __array_wrap__ __array_finalize__ __array_function__
	__array_ufunc__ __array_namespace__ __cuda_array_interface__ __dlpack__ __dlpack_device__ __torch_function__
	__torch_dispatch__ __buffer__ __index__ __int__ __float__ __complex__ __bool__ __bytes__ __fspath__ __contains__
	__reversed__ __getinitargs__ __getnewargs__ __getnewargs_ex__ __copy__ __deepcopy__`)
