package pickle

import (
	"strings"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// denial says why a global is dangerous.
type denial struct {
	severity hazard.Severity
	why      string // continues "os.system …"
}

// Why names are denied.
var (
	runsCode   = denial{hazard.Critical, "runs commands or code"}
	loadsCode  = denial{hazard.Critical, "imports code, loads native code or unpickles something else"}
	opensFiles = denial{hazard.High, "opens files or connections"}
	inML       = denial{hazard.Critical, "runs, compiles or downloads code in a machine learning framework"}
	evaluates  = denial{hazard.Critical, "evaluates, opens or reaches into what it is given"}
	reaches    = denial{hazard.Critical, "reaches any attribute or calls any function"}
	loadsModel = denial{hazard.High, "loads another file, with the code that is in it"}
	tampers    = denial{hazard.Critical, "is a scanner of pickles, which a model has no reason to touch"}
	isPrivate  = denial{hazard.High, "is a private module of Python's standard library, which no writer of pickles names"}
)

// deniedModules are denied whole, with all modules below them. It is the union of what
// picklescan 1.0.5 (src/picklescan/scanner.py), fickling 0.1.12 (fickling/fickle.py,
// analysis.py) and modelscan 0.8.6 (modelscan/settings.py) deny, with what their
// issues name as missing (modelscan #331, #338, picklescan #66, #74).
var deniedModules = index([]group{
	{runsCode, `os posix nt subprocess sys pty commands runpy code codeop bdb pdb cProfile profile timeit trace
		doctest pydoc test unittest idlelib lib2to3 multiprocessing concurrent sched _posixsubprocess _interpreters
		_xxsubinterpreters _xxinterpchannels signal _signal threading _thread atexit asyncio gc site inspect
		pexpect pipes popen2 _aix_support _osx_support _bootsubprocess _pyrepl uuid venv ensurepip pip setuptools
		distutils turtledemo`},
	{loadsCode, `importlib imp _imp _frozen_importlib _frozen_importlib_external zipimport pkgutil marshal
		compileall py_compile ctypes _ctypes cffi _cffi_backend mmap pickle _pickle cPickle pickletools copyreg copy_reg
		dill cloudpickle shelve joblib cloudpathlib`},
	{opensFiles, `shutil tempfile filecmp fileinput glob linecache difflib platform tarfile zipfile sqlite3 _sqlite3
		dbm logging syslog pathlib2 socket _socket ssl _ssl select selectors socketserver SocketServer http httplib
		urllib urllib2 urllib3 requests httpx aiohttp webbrowser smtplib imaplib ftplib poplib telnetlib nntplib
		xmlrpc xmlrpclib paramiko fabric`},
	{inML, `numpy.f2py numpy.distutils numpy.testing numpy.ctypeslib torch.hub torch.jit torch._dynamo torch._inductor
		torch.compile torch.package torch.utils.cpp_extension torch.utils.collect_env torch.utils.bottleneck
		torch.utils._config_module torch.testing._internal torch.distributed.elastic torch.distributed.rpc torch.library`},
	{tampers, `fickling picklescan modelscan model_unpickler saferpickle modelaudit`},
})

// deniedNames are denied one by one.
var deniedNames = index([]group{
	{evaluates, `builtins.eval builtins.exec builtins.compile builtins.open builtins.__import__ builtins.getattr
		builtins.setattr builtins.delattr builtins.hasattr builtins.globals builtins.locals builtins.vars builtins.dir
		builtins.input builtins.breakpoint builtins.memoryview builtins.map builtins.filter builtins.type
		builtins.super builtins.property builtins.classmethod builtins.staticmethod builtins.iter builtins.help
		builtins.exit builtins.quit builtins.print builtins.apply builtins.execfile builtins.file builtins.reload
		builtins.raw_input builtins.coerce builtins.buffer`},
	{reaches, `functools.partial functools.partialmethod functools.reduce functools.singledispatch functools.cached_property
		operator.attrgetter operator.itemgetter operator.methodcaller operator.call
		_operator.attrgetter _operator.itemgetter _operator.methodcaller _operator.call _functools.partial _functools.reduce
		types.CodeType types.FunctionType types.LambdaType types.MethodType types.ModuleType types.BuiltinFunctionType
		types.coroutine types.new_class types.DynamicClassAttribute
		itertools.starmap itertools.accumulate itertools.groupby itertools.takewhile itertools.dropwhile
		itertools.filterfalse weakref.finalize weakref.WeakMethod contextlib.ExitStack contextvars.Context
		typing.get_type_hints typing.ForwardRef typing._eval_type
		dataclasses.make_dataclass collections.namedtuple enum._decompose string.Formatter
		random._urandom ast.parse timeit.Timer`},
	{opensFiles, `io.FileIO io.open io.open_code io.OpenWrapper _io.FileIO _io.open _io.open_code _pyio.open _pyio.FileIO
		pathlib.Path.open codecs.open bz2.open bz2.BZ2File gzip.open gzip.GzipFile lzma.open lzma.LZMAFile
		tokenize.open wave.open
		pandas.io.parsers.readers.read_csv pandas.io.common.get_handle pandas.read_csv pandas.read_html
		numpy.fromfile numpy.memmap numpy.loadtxt numpy.genfromtxt numpy.save numpy.savetxt numpy.DataSource
		numpy.lib.npyio.fromregex`},
	{inML, `torch.load torch.compile torch.serialization.load torch.serialization._load torch.serialization._legacy_load
		torch.utils.collect_env.run
		torch.utils.data.datapipes.utils.decoder.basichandlers
		torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression
		torch.fx.graph_module.reduce_graph_module torch.fx.graph_module._forward_from_src
		torch.fx.graph_module.reduce_package_graph_module torch.fx.graph_module.reduce_deploy_graph_module
		torch._utils_internal.launcher_require_columns
		transformers.models.auto.auto_factory.getattribute_from_module
		transformers.dynamic_module_utils.get_class_from_dynamic_module
		mlflow.projects.backend.local._run_entry_point
		scipy._lib._ccallback.LowLevelCallable
		sklearn.utils._testing._convert_container`},
	{loadsModel, `numpy.load numpy.ctypeslib.load_library numpy.lib.npyio.load numpy.lib._npyio_impl.load
		numpy.core.multiarray.fromfile numpy._core.multiarray.fromfile
		pandas.read_pickle pandas.io.pickle.read_pickle pandas.read_hdf joblib.load joblib.numpy_pickle.load
		joblib.numpy_pickle.NDArrayWrapper joblib.numpy_pickle.ZNDArrayWrapper joblib.numpy_pickle_compat.NDArrayWrapper
		joblib.numpy_pickle_compat.ZNDArrayWrapper
		keras.models.load_model keras.saving.load_model keras.src.saving.saving_api.load_model
		tensorflow.keras.models.load_model tensorflow.saved_model.load tensorflow.io.read_file tensorflow.py_function
		transformers.pipeline`},
})

// aliases are modules which other packages carry along under a name of their own, as
// six.moves.builtins: such a part of a module's name is as bad as the module.
var aliases = words(`os posix nt subprocess sys pty runpy builtins __builtin__ importlib ctypes pickle cPickle marshal
	cloudpickle dill socket shutil`)

// pureBuiltins only compute: they are on no list.
var pureBuiltins = words(`abs all any ascii bin callable chr divmod enumerate format hash hex id isinstance issubclass
	len max min next oct ord pow repr reversed round sorted sum zip unichr cmp intern
	NotImplemented Ellipsis None True False`)

// privateModules are those of the standard library of Python 3.8 to 3.14 whose name
// begins with an underscore (sys.stdlib_module_names), as far as they are not denied.
var privateModules = words(`_abc _ast _asyncio _bisect _blake2 _bootlocale _bz2 _codecs _codecs_cn _codecs_hk
	_codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _collections _collections_abc _colorize _compat_pickle _compression
	_contextvars _crypt _csv _curses _curses_panel _datetime _dbm _decimal _dummy_thread _dummy_threading _elementtree
	_functools _gdbm _hashlib _heapq _hmac _interpchannels _interpqueues _io _ios_support _json _locale _lsprof _lzma
	_markupbase _md5 _msi _multibytecodec _multiprocessing _opcode _opcode_metadata _operator _overlapped _peg_parser
	_posixshmem _py_abc _py_warnings _pydatetime _pydecimal _pyio _pylong _queue _random _remote_debugging _scproxy _sha1
	_sha2 _sha256 _sha3 _sha512 _sitebuiltins _sre _stat _statistics _string _strptime _struct _suggestions
	_symtable _sysconfig _threading_local _tkinter _tokenize _tracemalloc _types _typing _warnings _weakref _weakrefset
	_winapi _wmi _zoneinfo _zstd`)

// group is names that are denied for one reason.
type group struct {
	denial
	names string // separated by white space
}

func index(groups []group) map[string]denial {
	out := map[string]denial{}
	for _, g := range groups {
		for name := range strings.FieldsSeq(g.names) {
			out[name] = g.denial
		}
	}
	return out
}

func words(text string) map[string]bool {
	out := map[string]bool{}
	for word := range strings.FieldsSeq(text) {
		out[word] = true
	}
	return out
}

// denied tells why a global that is written so is dangerous.
func denied(g Global) (denial, bool) {
	if d, ok := deniedNames[g.Module+"."+g.Name]; ok {
		return d, true
	}
	for module := g.Module; module != ""; {
		if d, ok := deniedModules[module]; ok {
			return d, true
		}
		cut := strings.LastIndexByte(module, '.')
		module = module[:max(cut, 0)]
	}
	top, rest, _ := strings.Cut(g.Module, ".")
	for part := range strings.SplitSeq(rest, ".") {
		if aliases[part] {
			return runsCode, true
		}
	}
	switch {
	case (g.Module == "builtins" || g.Module == "__builtin__") && !pureBuiltins[g.Name] && !isException(g.Name):
		return evaluates, true
	case privateModules[top]:
		return isPrivate, true
	case strings.HasPrefix(g.Name, "from_pretrained") || top == "transformers" && strings.HasSuffix(g.Name, "from_pretrained"):
		return loadsModel, true
	}
	return denial{}, false
}

// isException: the exceptions among the builtins, which are pickled as they are.
func isException(name string) bool {
	return strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception") || strings.HasSuffix(name, "Warning") ||
		name == "KeyboardInterrupt" || name == "StopIteration" || name == "StopAsyncIteration" || name == "GeneratorExit" ||
		name == "SystemExit" || name == "ExceptionGroup" || name == "BaseExceptionGroup"
}
