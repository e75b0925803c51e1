/*
 * The waiting Python. Loaded into Debian's own /usr/bin/python3 by LD_PRELOAD, it takes the place of that program's `main`: it initialises
 * the interpreter as `python3 -u main.py` would, waits for START, writes the run's values where that command line would have
 * put them, and goes on with Py_RunMain, the function that a cold start goes on with. No Python code runs in between, so there is nothing
 * that a program could find: same binary, same stack, same finalisation. docs/decisions/0009-warm-interpreters.md has the reasons.
 *
 * Whatever this cannot do exactly it leaves to the real thing: `become_cold` replaces the process by the cold command.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parent.h"
#include "process_strings.h"
#include "start.h"

/* Exported by the interpreter, declared only in its internal headers. */
extern const PyConfig *_Py_GetConfig(void);

enum { CONTROL_FD = 3 };

/* Python's own cold start lists the interpreter's options before the entry: warm and cold must have been given the same ones. */
static int warm_option_count;
static char **warm_argv;

static void fail(const char *what)
{
    dprintf(STDERR_FILENO, "coderunner: the waiting Python could not take the run: %s\n", what);
    _exit(125);
}

static void fail_with_python_error(const char *what)
{
    if (PyErr_Occurred())
        PyErr_Print();
    fail(what);
}

static size_t count(char **list)
{
    size_t length = 0;
    while (list[length])
        length++;
    return length;
}

/* The session has no terminal yet, so the first open makes this one the controlling one. */
static void open_terminal(const char *path)
{
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (open(path, O_RDWR) != fd)
            _exit(125);
}

static void become_cold(const struct start *start)
{
    execvpe(start->argv[0], start->argv, start->env);
    fail("its cold command cannot be started");
}

/* The user's own packages: `site` looks for them while the interpreter starts, which was before this run's files came. */
static bool has_user_packages(char **env)
{
    for (; *env; env++) {
        if (strncmp(*env, "HOME=", 5) == 0) {
            char path[4096];
            int length = snprintf(path, sizeof path, "%s/.local/lib/" PYTHON_NAME "/site-packages", *env + 5);
            return length < 0 || (size_t)length >= sizeof path || access(path, F_OK) == 0;
        }
    }
    return false;
}

/* Whether a cold start would have read from its command line what this process read from its own. */
static bool same_command(const struct start *start)
{
    size_t argc = count(start->argv), args = count(start->args), options = (size_t)warm_option_count;
    if (argc != options + 1 + args)
        return false;
    for (size_t i = 0; i < options; i++)
        if (strcmp(start->argv[i], warm_argv[i]) != 0)
            return false;
    if (strcmp(start->argv[options], start->entry) != 0 || start->entry[0] == '-' || start->entry[0] == '\0')
        return false;
    for (size_t i = 0; i < args; i++)
        if (strcmp(start->argv[options + 1 + i], start->args[i]) != 0)
            return false;
    return true;
}

/* os.environ was filled when `posix` was initialised; it is the same dictionary, in the order of the C environment. */
static void replace_python_environment(char **env)
{
    PyObject *posix = PyImport_ImportModule("posix");
    PyObject *dict = posix ? PyObject_GetAttrString(posix, "environ") : NULL;
    if (dict == NULL || !PyDict_Check(dict))
        fail_with_python_error("posix.environ");
    PyDict_Clear(dict);
    for (; *env; env++) {
        const char *equals = strchr(*env, '=');
        PyObject *name = PyBytes_FromStringAndSize(*env, equals - *env);
        PyObject *value = PyBytes_FromString(equals + 1);
        if (name == NULL || value == NULL || PyDict_SetDefault(dict, name, value) == NULL)
            fail_with_python_error("posix.environ");
        Py_DECREF(name);
        Py_DECREF(value);
    }
    Py_DECREF(dict);
    Py_DECREF(posix);
}

static void set_sys(const char *name, PyObject *value)
{
    if (value == NULL || PySys_SetObject(name, value) != 0)
        fail_with_python_error(name);
    Py_DECREF(value);
}

/* Puts a command line where initialisation puts it: into the configuration, and into `sys`. */
static void set_arguments(PyConfig *config, PyWideStringList *field, const char *sys_name, char **items)
{
    size_t length = count(items);
    wchar_t **wide = PyMem_RawCalloc(length, sizeof *wide);
    PyObject *list = PyList_New((Py_ssize_t)length);
    if (wide == NULL || list == NULL)
        fail_with_python_error(sys_name);
    for (size_t i = 0; i < length; i++) {
        wide[i] = Py_DecodeLocale(items[i], NULL);
        PyObject *item = wide[i] ? PyUnicode_FromWideChar(wide[i], -1) : NULL;
        if (item == NULL)
            fail_with_python_error(sys_name);
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    if (PyStatus_Exception(PyConfig_SetWideStringList(config, field, (Py_ssize_t)length, wide)))
        fail(sys_name);
    for (size_t i = 0; i < length; i++)
        PyMem_RawFree(wide[i]);
    PyMem_RawFree(wide);
    set_sys(sys_name, list);
}

/* As initialisation does for a script: the file is made absolute by putting the working directory before it, nothing more. */
static void set_run_filename(PyConfig *config, const char *entry)
{
    char *cwd = entry[0] == '/' ? NULL : getcwd(NULL, 0);
    char *path = NULL;
    if (asprintf(&path, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", entry) < 0)
        fail("out of memory");
    if (PyStatus_Exception(PyConfig_SetBytesString(config, &config->run_filename, path)))
        fail("run_filename");
    free(path);
    free(cwd);
}

/* One of sys.stdin, sys.stdout, sys.stderr on a terminal, made as initialisation makes it for `-u`. */
static PyObject *standard_stream(PyObject *io, const PyConfig *config, int fd, const char *name, const wchar_t *errors)
{
    bool output = fd != STDIN_FILENO;
    int buffering = output && !config->buffered_stdio ? 0 : -1;
    PyObject *binary = PyObject_CallMethod(io, "open", "isiOOOO", fd, output ? "wb" : "rb", buffering, Py_None, Py_None, Py_None, Py_False);
    if (binary == NULL)
        return NULL;
    PyObject *raw = buffering ? PyObject_GetAttrString(binary, "raw") : Py_NewRef(binary);
    PyObject *label = PyUnicode_FromString(name);
    PyObject *line_buffering = config->buffered_stdio ? Py_True : Py_False; /* of a terminal */
    PyObject *write_through = config->buffered_stdio ? Py_False : Py_True;
    PyObject *stream = NULL;
    if (raw && label && PyObject_SetAttrString(raw, "name", label) == 0)
        stream = PyObject_CallMethod(io, "TextIOWrapper", "OuusOO", binary, config->stdio_encoding, errors, "\n", line_buffering, write_through);
    Py_XDECREF(label);
    Py_XDECREF(raw);
    Py_DECREF(binary);
    PyObject *mode = stream ? PyUnicode_FromString(output ? "w" : "r") : NULL;
    if (mode && PyObject_SetAttrString(stream, "mode", mode) != 0)
        Py_CLEAR(stream);
    Py_XDECREF(mode);
    return stream;
}

static void replace_standard_streams(const PyConfig *config)
{
    static const struct {
        int fd;
        const char *label, *name, *original;
    } streams[] = {
        {STDIN_FILENO, "<stdin>", "stdin", "__stdin__"},
        {STDOUT_FILENO, "<stdout>", "stdout", "__stdout__"},
        {STDERR_FILENO, "<stderr>", "stderr", "__stderr__"},
    };
    PyObject *io = PyImport_ImportModule("io");
    if (io == NULL)
        fail_with_python_error("io");
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        const wchar_t *errors = streams[i].fd == STDERR_FILENO ? L"backslashreplace" : config->stdio_errors;
        PyObject *stream = standard_stream(io, config, streams[i].fd, streams[i].label, errors);
        set_sys(streams[i].original, Py_XNewRef(stream));
        set_sys(streams[i].name, stream);
    }
    Py_DECREF(io);
}

static void say_ready(void)
{
    if (write(CONTROL_FD, "R", 1) != 1)
        fail("its control socket is closed");
}

static void take_the_run(const struct start *start)
{
    PyConfig *config = (PyConfig *)_Py_GetConfig();
    replace_process_strings(start->argv, start->env);
    replace_python_environment(start->env);
    if (start->tty)
        replace_standard_streams(config);
    set_run_filename(config, start->entry);
    set_arguments(config, &config->orig_argv, "orig_argv", start->argv);
    set_arguments(config, &config->argv, "argv", start->argv + warm_option_count);
}

static int warm_main(int argc, char **argv, char **envp)
{
    (void)envp;
    warm_argv = argv;
    warm_option_count = argc - 1; /* the last one stands for the entry */

    PyPreConfig preconfig;
    PyPreConfig_InitPythonConfig(&preconfig);
    PyStatus status = Py_PreInitializeFromBytesArgs(&preconfig, argc, argv);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    status = PyConfig_SetBytesArgv(&config, argc, argv);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);

    say_ready();
    if (is_parent()) {
        fork_for_runs(CONTROL_FD);
        say_ready();
    }
    struct start start;
    int got = read_start(CONTROL_FD, &start);
    if (got == 0)
        _exit(0);
    if (got < 0)
        fail("START was not understood");
    close(CONTROL_FD);
    if (chdir(start.cwd) != 0)
        fail("its working directory is not there");
    if (start.tty)
        open_terminal(start.tty);
    if (!same_command(&start) || has_user_packages(start.env))
        become_cold(&start);
    take_the_run(&start);
    return Py_RunMain();
}

typedef int main_function(int, char **, char **);

/* Called by python3's own start code with python3's `main`. */
__attribute__((visibility("default"))) int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                                                              void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    (void)main;
    typeof(&__libc_start_main) real = dlsym(RTLD_NEXT, "__libc_start_main");
    return real(warm_main, argc, argv, init, fini, rtld_fini, stack_end);
}
