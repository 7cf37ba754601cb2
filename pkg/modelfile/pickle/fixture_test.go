package pickle_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
	"github.com/modseal/modseal/pkg/modelfile/pickle"
)

// What hack/fixtures/pickles.py wrote is judged as docs/scan-techniques.md says.
func TestFixtures(t *testing.T) {
	unknown := []string{"pickle-unknown-global"}
	dangerous := []string{"pickle-dangerous-global"}
	clean := []string{}
	for name, want := range map[string]struct {
		rules   []string
		streams int
	}{
		"everything-0.pkl": {clean, 1}, "everything-1.pkl": {clean, 1}, "everything-2.pkl": {clean, 1},
		"everything-3.pkl": {clean, 1}, "everything-4.pkl": {clean, 1}, "everything-5.pkl": {clean, 1},
		"numpy-0.pkl": {clean, 1}, "numpy-1.pkl": {clean, 1}, "numpy-2.pkl": {clean, 1},
		"numpy-3.pkl": {clean, 1}, "numpy-4.pkl": {clean, 1}, "numpy-5.pkl": {clean, 1},
		"command-0.pkl": {dangerous, 1}, "command-1.pkl": {dangerous, 1}, "command-2.pkl": {dangerous, 1},
		"command-3.pkl": {dangerous, 1}, "command-4.pkl": {dangerous, 1}, "command-5.pkl": {dangerous, 1},
		"objects.pkl": {clean, 1}, "two.pkl": {clean, 2}, "behind.pkl": {dangerous, 2}, "sklearn.pkl": {unknown, 1},
		"tensors-2.pkl": {clean, 1}, "tensors-4.pkl": {clean, 1},
		"nested-command-2.pkl": {dangerous, 1}, "nested-command-4.pkl": {dangerous, 1},
		"checkpoint.data.pkl": {clean, 1}, "quantized.data.pkl": {clean, 1}, "sparse.data.pkl": {[]string{"pickle-odd-argument"}, 1},
		"command.data.pkl":     {dangerous, 1},
		"checkpoint.legacy.pt": {clean, pickle.LegacyStreams}, "module.legacy.pt": {unknown, pickle.LegacyStreams},
	} {
		o := pickle.Options{Torch: !strings.HasSuffix(name, ".pkl") || strings.HasSuffix(name, ".data.pkl")}
		if strings.HasSuffix(name, ".pt") {
			o.Done = func(streams []pickle.Stream) bool { return len(streams) == pickle.LegacyStreams }
		}
		b := fixture(t, name)
		for _, s := range []scanned{scan(t, b, o), scanContent(t, stream(b), o)} {
			if d := cmp.Diff(want.rules, s.rules()); d != "" {
				t.Errorf("%s: %s\n%+v", name, d, s.findings)
			}
			if len(s.Streams) != want.streams || !s.Whole || o.Done == nil && s.End != int64(len(b)) {
				t.Errorf("%s: %d streams, whole %v, end %d of %d", name, len(s.Streams), s.Whole, s.End, len(b))
			}
		}
	}
}

func TestTensorsOfZip(t *testing.T) {
	s := scan(t, fixture(t, "checkpoint.data.pkl"), pickle.Options{Torch: true})
	tensors, whole := pickle.Tensors(s.Streams[0].Root)
	float := func(key string, n int64) pickle.Storage {
		return pickle.Storage{Key: key, DType: "float32", Location: "cpu", Elements: n}
	}
	want := map[string]pickle.Tensor{
		"model.0.weight":              {DType: "float32", Shape: []uint64{2, 3}, Storage: float("0", 6), Size: 24},
		"model.1.num_batches_tracked": {DType: "int64", Storage: pickle.Storage{Key: "6", DType: "int64", Location: "cpu", Elements: 1}, Size: 8},
		"optimizer.state.0.exp_avg":   {DType: "float32", Shape: []uint64{2, 3}, Storage: float("8", 6), Size: 24},
		"extra.half":                  {DType: "bfloat16", Shape: []uint64{3}, Storage: pickle.Storage{Key: "19", DType: "bfloat16", Location: "cpu", Elements: 4}, Offset: 2, Size: 6},
		"extra.view":                  {DType: "int64", Shape: []uint64{3, 2}, Storage: pickle.Storage{Key: "20", DType: "int64", Location: "cpu", Elements: 6}, Size: 48},
	}
	if len(tensors) != 21 || !whole {
		t.Errorf("%d tensors, whole %v: %v", len(tensors), whole, tensors)
	}
	got := map[string]pickle.Tensor{}
	for _, tensor := range tensors {
		name := tensor.Name
		if _, asked := want[name]; asked {
			tensor.Name = ""
			got[name] = tensor
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if storages, whole := pickle.Storages(s.Streams[0].Root); len(storages) != 21 || !whole {
		t.Errorf("%d storages, whole %v", len(storages), whole)
	}
}

// The five pickles of a legacy file tell what is in it and what follows.
func TestLegacyFile(t *testing.T) {
	b := fixture(t, "module.legacy.pt")
	o := pickle.Options{Torch: true, Done: func(s []pickle.Stream) bool { return len(s) == pickle.LegacyStreams }}
	s := scan(t, b, o)
	if s.Streams[0].Root.Kind() != pickle.Magic {
		t.Errorf("the magic number is %v", s.Streams[0].Root.Kind())
	}
	if n, ok := s.Streams[1].Root.Int(); !ok || n != 1001 {
		t.Errorf("protocol %d, %v", n, ok)
	}
	tensors, whole := pickle.Tensors(s.Streams[3].Root)
	var names []string
	for _, tensor := range tensors {
		names = append(names, tensor.Name)
	}
	want := []string{"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
	if d := cmp.Diff(want, names); d != "" || !whole {
		t.Error(d, whole)
	}
	keys, whole := s.Streams[4].Root.Items()
	if len(keys) != len(want) || !whole {
		t.Errorf("%d keys, whole %v", len(keys), whole)
	}
	left := int64(len(b)) - s.End
	for _, tensor := range tensors {
		left -= 8 + tensor.Storage.Elements*pickle.ItemSize(tensor.Storage.DType)
	}
	if left != 0 {
		t.Errorf("%d bytes are not of the storages", left)
	}
}

func TestAllow(t *testing.T) {
	class := pickle.Global{Module: "sklearn.linear_model._logistic", Name: "LogisticRegression"}
	b := fixture(t, "sklearn.pkl")
	if s := scan(t, b, pickle.Options{Allow: pickle.Allowed{class: true}}); s.verdict() != hazard.Clean {
		t.Errorf("%+v", s.findings)
	}
	other := pickle.Global{Module: "sklearn.linear_model", Name: "LogisticRegression"}
	if s := scan(t, b, pickle.Options{Allow: pickle.Allowed{other: true}}); s.verdict() != hazard.Suspicious {
		t.Errorf("another module is allowed: %+v", s.findings)
	}
	nested := pickle.Global{Module: "mine", Name: "Outer.Inner"}
	b = cat(proto(4), stackGlobal("mine", "Outer.Inner"), ".")
	if s := scan(t, b, pickle.Options{Allow: pickle.Allowed{nested: true}}); s.verdict() != hazard.Clean {
		t.Errorf("%+v", s.findings)
	}
	for _, dunder := range []pickle.Global{{Module: "mine", Name: "__globals__"}, {Module: "builtins", Name: "__import__"}} {
		b = cat(proto(4), stackGlobal(dunder.Module, dunder.Name), ".")
		if s := scan(t, b, pickle.Options{Allow: pickle.Allowed{dunder: true}}); s.verdict() != hazard.Dangerous {
			t.Errorf("%s can be allowed: %+v", dunder, s.findings)
		}
	}
}

func TestParseGlobal(t *testing.T) {
	for text, want := range map[string]pickle.Global{
		"argparse.Namespace": {Module: "argparse", Name: "Namespace"},
		"a.b.c":              {Module: "a.b", Name: "c"},
		"a.b:C.D":            {Module: "a.b", Name: "C.D"},
	} {
		got, err := pickle.ParseGlobal(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v, %s", text, got, err, got)
		}
	}
	for _, text := range []string{"", "a", ".", "a.", ".b", "a:", ":b", "sklearn.*", "a b.c"} {
		if g, err := pickle.ParseGlobal(text); err == nil {
			t.Errorf("%q is %+v", text, g)
		}
	}
}

// Names on the lists of the scanners that docs/scan-techniques.md compares with.
func TestDeniedNames(t *testing.T) {
	for name := range strings.FieldsSeq(`
		os.system posix.system nt.system subprocess.Popen sys.exit pty.spawn commands.getoutput runpy.run_path runpy._run_code
		code.interact codeop.compile_command bdb.Bdb pdb.run cProfile.run profile.runctx timeit.timeit trace.Trace doctest.debug_script
		pydoc.locate pydoc.pipepager test.support.script_helper.assert_python_ok unittest.main idlelib.run.Executive lib2to3.pgen2.grammar.Grammar
		multiprocessing.util.spawnv_passfds _posixsubprocess.fork_exec _interpreters.run_string _xxsubinterpreters.create
		signal.signal threading.Thread _thread.start_new_thread atexit.register asyncio.run gc.get_objects site.main inspect.getattr_static
		pexpect.run pipes.Template _aix_support._read_cmd_output _osx_support._find_build_tool _pyrepl.pager.pipe_pager
		uuid._get_command_stdout venv.create ensurepip._run_pip pip.main distutils.file_util.write_file
		importlib.import_module importlib.util.find_spec imp.load_source _imp.create_dynamic zipimport.zipimporter pkgutil.resolve_name
		marshal.loads compileall.compile_file py_compile.compile ctypes.CDLL _ctypes.dlopen mmap.mmap
		pickle.loads _pickle.loads dill.loads cloudpickle.cloudpickle._make_function shelve.open joblib.load
		shutil.rmtree tempfile.mktemp filecmp.cmp fileinput.input glob.glob linecache.getline difflib.context_diff platform.popen
		tarfile.open zipfile.ZipFile sqlite3.connect logging.FileHandler logging.config.dictConfig syslog.syslog
		socket.create_connection ssl.get_server_certificate select.select selectors.DefaultSelector socketserver.TCPServer
		http.client.HTTPSConnection httplib.HTTPSConnection urllib.request.urlopen urllib2.urlopen requests.api.get aiohttp.client.request
		webbrowser.open smtplib.SMTP imaplib.IMAP4_stream ftplib.FTP poplib.POP3 telnetlib.Telnet nntplib.NNTP xmlrpc.client.ServerProxy
		numpy.f2py.crackfortran.getlincoef numpy.distutils.exec_command.exec_command numpy.testing._private.utils.runstring
		torch.hub.load torch.jit.unsupported_tensor_ops.execWrapper torch._dynamo.guards.GuardBuilder torch._inductor.codecache.compile_file
		torch.load torch.compile torch.serialization.load torch.utils.collect_env.run torch.utils.bottleneck.__main__.run_cprofile
		torch.utils._config_module.ConfigModule torch.utils.data.datapipes.utils.decoder.basichandlers
		torch.distributed.elastic.rendezvous.api.basichandlers
		builtins.eval builtins.exec builtins.compile builtins.open builtins.__import__ builtins.getattr builtins.setattr builtins.delattr
		builtins.globals builtins.locals builtins.vars builtins.input builtins.breakpoint builtins.memoryview builtins.map
		__builtin__.eval __builtin__.apply __builtin__.execfile __builtin__.file __builtin__.reload
		functools.partial functools.reduce operator.attrgetter operator.itemgetter _operator.methodcaller types.CodeType types.FunctionType
		io.FileIO io.open io.open_code _io.FileIO
		numpy.load numpy.ctypeslib.load_library pandas.read_pickle pandas.io.parsers.readers.read_csv
		keras.models.load_model tensorflow.keras.models.load_model transformers.models.auto.auto_factory.getattribute_from_module
		mlflow.projects.backend.local._run_entry_point
		fickling.load picklescan.scanner modelscan.cli model_unpickler.x saferpickle.x modelaudit.cli
		six.moves.cPickle.loads joblib.externals.cloudpickle.dumps`) {
		at := strings.LastIndexByte(name, '.')
		s := scan(t, cat(proto(2), global(name[:at], name[at+1:]), "."), pickle.Options{})
		if s.verdict() != hazard.Dangerous {
			t.Errorf("%s is %s", name, s.verdict())
		}
		if s.Globals[0].Verdict != hazard.Dangerous || s.Globals[0].Offset != 2 {
			t.Errorf("%s is listed as %+v", name, s.Globals[0])
		}
	}
}

// Classes of TorchScript are unknown in archives of torch, where their code is, and
// what marks the types of lists there is clean.
func TestNamesOfTorchScript(t *testing.T) {
	for _, tt := range []struct {
		module, name   string
		torch, outside hazard.Verdict
	}{
		{"__torch__", "Net", hazard.Suspicious, hazard.Dangerous},
		{"__torch__.torch.nn.___torch_mangle_0", "Linear", hazard.Suspicious, hazard.Dangerous},
		{"__torch__.__builtins__", "eval", hazard.Dangerous, hazard.Dangerous},
		{"__torch__", "__class__", hazard.Dangerous, hazard.Dangerous},
		{"__torch__", "os.system", hazard.Dangerous, hazard.Dangerous},
		{"torch.jit._pickle", "build_intlist", hazard.Clean, hazard.Dangerous},
		{"torch.jit._pickle", "other", hazard.Dangerous, hazard.Dangerous},
	} {
		b := cat(proto(4), stackGlobal(tt.module, tt.name), ".")
		if v := scan(t, b, pickle.Options{Torch: true}).verdict(); v != tt.torch {
			t.Errorf("%s %s is %s in an archive of torch", tt.module, tt.name, v)
		}
		if v := scan(t, b, pickle.Options{}).verdict(); v != tt.outside {
			t.Errorf("%s %s is %s elsewhere", tt.module, tt.name, v)
		}
	}
}

// Names that are on no list are neither clean nor dangerous.
func TestUnknownNames(t *testing.T) {
	for name := range strings.FieldsSeq(`
		argparse.Namespace transformers.training_args.TrainingArguments sklearn.tree._tree.Tree __main__.Model
		datetime.datetime decimal.Decimal pathlib.PosixPath numpy.random._pickle.__randomstate_ctor numpy.prod
		builtins.len builtins.ValueError exceptions.ValueError torch.nn.modules.linear.Linear pandas.core.frame.DataFrame
		io.BytesIO types.SimpleNamespace functools.lru_cache operator.add`) {
		at := strings.LastIndexByte(name, '.')
		s := scan(t, cat(proto(2), global(name[:at], name[at+1:]), "."), pickle.Options{})
		if s.verdict() != hazard.Suspicious {
			t.Errorf("%s is %s", name, s.verdict())
		}
	}
}
