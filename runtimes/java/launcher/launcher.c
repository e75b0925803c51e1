/*
 * Starts Java programs: `launcher compile [OPTION...] ENTRY`, `launcher run ENTRY [ARG...]`, and `launcher wait`, which does both when it is
 * told to, in a Java machine that has been made ready. docs/protocol.md, "Warm interpreter"; docs/decisions/0015-waiting-jvm.md has the reasons.
 *
 * What compiles is Java (coderunner/), in the same process. What runs a program is here, because it has to be done as the `java` command
 * does it, with no frame of Java below the program's `main`, and because only native code can give the process another environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <jni.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTROL_FD = 3 };

/* The agent takes START as one frame; more than that cannot come. */
#define MAX_START_BYTES 65536

/* As the `java` command has it: programs recurse as deep here as there. */
#define STACK_BYTES (1u << 20)

#define WORKSPACE "/workspace"
#define PROGRAM_FILE ".coderunner/java/program"
#define JAVA "/opt/java/bin/java"
#define OUR_CLASSES "file:/opt/coderunner/launcher.jar"
#define ARCHIVE "/opt/coderunner/launcher.aot"
#define SAMPLE "/opt/coderunner/coderunner/Sample.java"

/* The machine's, for waiting and cold ones alike. The heap leaves room for the compiler's classes, compiled code and threads. */
static const char *const MACHINE_OPTIONS[] = {
    "-XX:+UseSerialGC", "-XX:MaxRAMPercentage=55", "-Xss1m", "-XX:-UsePerfData", "-Dsun.java.launcher=SUN_STANDARD",
};
enum { MACHINE_OPTION_COUNT = sizeof MACHINE_OPTIONS / sizeof *MACHINE_OPTIONS };

extern char **environ;

static void fail(const char *what)
{
    fprintf(stderr, "coderunner: the program could not be started: %s\n", what);
    _exit(125);
}

static void *must(void *pointer)
{
    if (pointer == NULL)
        fail("out of memory");
    return pointer;
}

/* A Java call that cannot fail unless this image is broken. */
static void check(JNIEnv *env, const char *what)
{
    if (!(*env)->ExceptionCheck(env))
        return;
    (*env)->ExceptionDescribe(env);
    fail(what);
}

/* What is to be run: the two lines that the compiler has left. */
struct program {
    char *main_class;
    char *class_path;
};

static char *read_line(FILE *file)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length = getline(&line, &size, file);
    if (length <= 0)
        fail(PROGRAM_FILE " is not of its form");
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static struct program read_program(void)
{
    FILE *file = fopen(PROGRAM_FILE, "re");
    if (file == NULL)
        fail("it has not been compiled");
    struct program program = {.main_class = read_line(file)};
    program.class_path = read_line(file);
    fclose(file);
    return program;
}

static JavaVM *machine;

static JNIEnv *create_machine(void)
{
    JavaVMOption options[MACHINE_OPTION_COUNT + 2];
    int count = 0;
    while (count < MACHINE_OPTION_COUNT) {
        options[count] = (JavaVMOption){.optionString = (char *)MACHINE_OPTIONS[count]};
        count++;
    }
    /* An empty one would stand for the working directory. The program's comes later, when there is a program. */
    options[count++] = (JavaVMOption){.optionString = (char *)"-Djava.class.path=/opt/coderunner/none"};
    /* The image is built with a run that makes this file. */
    if (access(ARCHIVE, R_OK) == 0)
        options[count++] = (JavaVMOption){.optionString = (char *)"-XX:AOTCache=" ARCHIVE};
    JavaVMInitArgs arguments = {.version = JNI_VERSION_21, .nOptions = count, .options = options};
    JNIEnv *env;
    if (JNI_CreateJavaVM(&machine, (void **)&env, &arguments) != JNI_OK)
        _exit(1); /* it has said why */
    return env;
}

/* Our classes have a loader of their own: once the program runs, nothing refers to them. */
static jclass load_launcher(JNIEnv *env)
{
    jclass url_class = (*env)->FindClass(env, "java/net/URL");
    jmethodID new_url = (*env)->GetMethodID(env, url_class, "<init>", "(Ljava/lang/String;)V");
    jobject url = (*env)->NewObject(env, url_class, new_url, (*env)->NewStringUTF(env, OUR_CLASSES));
    check(env, "java.net.URL");
    jobjectArray urls = (*env)->NewObjectArray(env, 1, url_class, url);
    jclass loader_class = (*env)->FindClass(env, "java/net/URLClassLoader");
    jmethodID new_loader = (*env)->GetMethodID(env, loader_class, "<init>", "([Ljava/net/URL;)V");
    jobject loader = (*env)->NewObject(env, loader_class, new_loader, urls);
    check(env, "java.net.URLClassLoader");
    jmethodID load = (*env)->GetMethodID(env, loader_class, "loadClass", "(Ljava/lang/String;)Ljava/lang/Class;");
    jclass launcher = (*env)->CallObjectMethod(env, loader, load, (*env)->NewStringUTF(env, "coderunner.Launcher"));
    check(env, OUR_CLASSES);
    return launcher;
}

static jint compile(JNIEnv *env, jclass launcher, jobjectArray arguments)
{
    jmethodID method = (*env)->GetStaticMethodID(env, launcher, "compile", "([Ljava/lang/String;)I");
    jint exit_code = (*env)->CallStaticIntMethod(env, launcher, method, arguments);
    check(env, "the compiler broke off");
    return exit_code;
}

/* The arguments of a command line, decoded as the `java` command decodes them. */
static jobjectArray java_strings(JNIEnv *env, char **items)
{
    size_t count = 0;
    while (items[count])
        count++;
    jclass string = (*env)->FindClass(env, "java/lang/String");
    jmethodID decode = (*env)->GetMethodID(env, string, "<init>", "([B)V");
    jobjectArray array = (*env)->NewObjectArray(env, (jsize)count, string, NULL);
    for (size_t i = 0; i < count; i++) {
        jsize length = (jsize)strlen(items[i]);
        jbyteArray bytes = (*env)->NewByteArray(env, length);
        (*env)->SetByteArrayRegion(env, bytes, 0, length, (const jbyte *)items[i]);
        (*env)->SetObjectArrayElement(env, array, (jsize)i, (*env)->NewObject(env, string, decode, bytes));
    }
    check(env, "an argument");
    return array;
}

static char *copy_bytes(JNIEnv *env, jbyteArray bytes)
{
    jsize length = (*env)->GetArrayLength(env, bytes);
    char *copy = must(malloc((size_t)length + 1));
    (*env)->GetByteArrayRegion(env, bytes, 0, length, (jbyte *)copy);
    copy[length] = '\0';
    return copy;
}

/* An array of arrays of bytes as a list that ends with NULL. */
static char **copy_list(JNIEnv *env, jobjectArray items)
{
    jsize count = (*env)->GetArrayLength(env, items);
    char **list = must(calloc((size_t)count + 1, sizeof *list));
    for (jsize i = 0; i < count; i++) {
        jbyteArray item = (*env)->GetObjectArrayElement(env, items, i);
        list[i] = copy_bytes(env, item);
        (*env)->DeleteLocalRef(env, item);
    }
    return list;
}

/* Whether there was as much; no more may come because the agent has closed its side. */
static bool read_fully(void *buffer, size_t length)
{
    for (char *at = buffer; length > 0;) {
        ssize_t got = read(CONTROL_FD, at, length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

static void say(const void *bytes, size_t length)
{
    if (write(CONTROL_FD, bytes, length) != (ssize_t)length)
        _exit(0); /* nobody is there */
}

/* Blocks until START has come, and returns it as Launcher.read does; NULL where none will come. */
static jobjectArray next_start(JNIEnv *env, jclass launcher)
{
    unsigned char header[4];
    if (!read_fully(header, sizeof header))
        return NULL;
    size_t length = (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    if (length > MAX_START_BYTES)
        fail("START is too large");
    static jbyte json[MAX_START_BYTES];
    if (!read_fully(json, length))
        return NULL;
    jbyteArray bytes = (*env)->NewByteArray(env, (jsize)length);
    check(env, "START");
    (*env)->SetByteArrayRegion(env, bytes, 0, (jsize)length, json);
    jmethodID read_start = (*env)->GetStaticMethodID(env, launcher, "read", "([B)[Ljava/lang/Object;");
    jobjectArray start = (*env)->CallStaticObjectMethod(env, launcher, read_start, bytes);
    check(env, "START");
    return start;
}

/* The session has no terminal yet, so the first open makes this one the controlling one. */
static void open_terminal(const char *path)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (open(path, O_RDWR) != fd)
            _exit(125);
}

static void set_property(JNIEnv *env, const char *name, jstring value)
{
    jclass system = (*env)->FindClass(env, "java/lang/System");
    jmethodID set = (*env)->GetStaticMethodID(env, system, "setProperty", "(Ljava/lang/String;Ljava/lang/String;)Ljava/lang/String;");
    (*env)->CallStaticObjectMethod(env, system, set, (*env)->NewStringUTF(env, name), value);
    check(env, name);
}

/*
 * Gives the system class loader, which was made before the program was known, the class path that `java -cp` gives it: by the method that
 * it has for Java agents, which no Java code could call.
 */
static void set_class_path(JNIEnv *env, char *class_path)
{
    jclass loader_class = (*env)->FindClass(env, "java/lang/ClassLoader");
    jmethodID get_loader = (*env)->GetStaticMethodID(env, loader_class, "getSystemClassLoader", "()Ljava/lang/ClassLoader;");
    jobject loader = (*env)->CallStaticObjectMethod(env, loader_class, get_loader);
    check(env, "the system class loader");
    set_property(env, "java.class.path", (*env)->NewStringUTF(env, class_path));
    jmethodID append = (*env)->GetMethodID(env, (*env)->GetObjectClass(env, loader), "appendToClassPathForInstrumentation",
                                           "(Ljava/lang/String;)V");
    check(env, "the class path");
    char *rest = class_path;
    for (char *element = strsep(&rest, ":"); element; element = strsep(&rest, ":"))
        (*env)->CallVoidMethod(env, loader, append, (*env)->NewStringUTF(env, element));
    check(env, "the class path");
}

/* The main class and the arguments with spaces between: what the `java` command shows as the property of that name. */
static jstring command_line(JNIEnv *env, const char *main_class, jobjectArray arguments)
{
    jclass string = (*env)->FindClass(env, "java/lang/String");
    jmethodID concat = (*env)->GetMethodID(env, string, "concat", "(Ljava/lang/String;)Ljava/lang/String;");
    jstring line = (*env)->NewStringUTF(env, main_class), space = (*env)->NewStringUTF(env, " ");
    jsize count = (*env)->GetArrayLength(env, arguments);
    for (jsize i = 0; i < count; i++) {
        line = (*env)->CallObjectMethod(env, line, concat, space);
        line = (*env)->CallObjectMethod(env, line, concat, (*env)->GetObjectArrayElement(env, arguments, i));
        check(env, "the command line");
    }
    return line;
}

static bool launcher_flag(JNIEnv *env, jclass helper, const char *name)
{
    return (*env)->GetStaticBooleanField(env, helper, (*env)->GetStaticFieldID(env, helper, name, "Z"));
}

/* What the `java` command does once its options are read: the same class of the JDK finds `main`, and tells where there is none. */
static void call_main(JNIEnv *env, const char *class_name, jobjectArray arguments)
{
    enum { BY_CLASS = 1 };
    jclass helper = (*env)->FindClass(env, "sun/launcher/LauncherHelper");
    jmethodID load = (*env)->GetStaticMethodID(env, helper, "checkAndLoadMain", "(ZILjava/lang/String;)Ljava/lang/Class;");
    check(env, "sun.launcher.LauncherHelper");
    jclass main_class = (*env)->CallStaticObjectMethod(env, helper, load, JNI_TRUE, BY_CLASS, (*env)->NewStringUTF(env, class_name));
    if ((*env)->ExceptionCheck(env) || main_class == NULL)
        return;
    bool without_arguments = launcher_flag(env, helper, "noArgMain");
    const char *signature = without_arguments ? "()V" : "([Ljava/lang/String;)V";
    if (launcher_flag(env, helper, "isStaticMain")) {
        jmethodID main_id = (*env)->GetStaticMethodID(env, main_class, "main", signature);
        if (main_id == NULL)
            return;
        if (without_arguments)
            (*env)->CallStaticVoidMethod(env, main_class, main_id);
        else
            (*env)->CallStaticVoidMethod(env, main_class, main_id, arguments);
        return;
    }
    jmethodID constructor = (*env)->GetMethodID(env, main_class, "<init>", "()V");
    jobject object = constructor ? (*env)->NewObject(env, main_class, constructor) : NULL;
    if (object == NULL)
        return;
    jmethodID main_id = (*env)->GetMethodID(env, main_class, "main", signature);
    if (main_id == NULL)
        return;
    if (without_arguments)
        (*env)->CallVoidMethod(env, object, main_id);
    else
        (*env)->CallVoidMethod(env, object, main_id, arguments);
}

/* The end that the `java` command makes: an exception is told by the thread's handler, and threads that still run are waited for. */
static int end_machine(JNIEnv *env)
{
    bool failed = (*env)->ExceptionCheck(env);
    (*machine)->DetachCurrentThread(machine);
    (*machine)->DestroyJavaVM(machine);
    return failed;
}

/* By the `java` command itself. */
static void run_cold(char **arguments, char **environment)
{
    struct program program = read_program();
    size_t count = 0;
    while (arguments[count])
        count++;
    char **argv = must(calloc(MACHINE_OPTION_COUNT + count + 5, sizeof *argv));
    size_t at = 0;
    argv[at++] = (char *)"java";
    for (int i = 0; i < MACHINE_OPTION_COUNT; i++)
        argv[at++] = (char *)MACHINE_OPTIONS[i];
    argv[at++] = (char *)"-cp";
    argv[at++] = program.class_path;
    argv[at++] = program.main_class;
    memcpy(argv + at, arguments, count * sizeof *argv);
    execve(JAVA, argv, environment);
    fail(strerror(errno));
}

static int run_warm(JNIEnv *env, jobjectArray start)
{
    enum { ARGV = 1, CWD, TTY, ENV, PROGRAM_ARGUMENTS = 6 };
    close(CONTROL_FD);
    char **environment = copy_list(env, (*env)->GetObjectArrayElement(env, start, ENV));
    jbyteArray tty = (*env)->GetObjectArrayElement(env, start, TTY);
    if (tty)
        open_terminal(copy_bytes(env, tty));
    const char *cwd = copy_bytes(env, (*env)->GetObjectArrayElement(env, start, CWD));
    if (chdir(cwd) != 0)
        fail(cwd);
    if (strcmp(cwd, WORKSPACE) != 0) { /* Java knows its folder from its start */
        char **argv = copy_list(env, (*env)->GetObjectArrayElement(env, start, ARGV));
        execve(argv[0], argv, environment);
        fail(strerror(errno));
    }
    environ = environment;
    struct program program = read_program();
    set_property(env, "sun.java.command", command_line(env, program.main_class, (*env)->GetObjectArrayElement(env, start, PROGRAM_ARGUMENTS)));
    set_class_path(env, program.class_path);
    call_main(env, program.main_class, (*env)->GetObjectArrayElement(env, start, PROGRAM_ARGUMENTS));
    return end_machine(env);
}

/* Compiles and runs a sample, so that the compiler is fast when it is needed; then says that it is ready. */
static int wait_for_a_run(void)
{
    enum { IS_COMPILE = 0, ARGV_STRINGS = 5 };
    JNIEnv *env = create_machine();
    jclass launcher = load_launcher(env);
    jmethodID prepare = (*env)->GetStaticMethodID(env, launcher, "prepare", "(Ljava/lang/String;)V");
    (*env)->CallStaticVoidMethod(env, launcher, prepare, (*env)->NewStringUTF(env, SAMPLE));
    check(env, "the sample");
    say("R", 1);
    for (;;) {
        jobjectArray start = next_start(env, launcher);
        if (start == NULL)
            return end_machine(env);
        if ((*env)->GetObjectArrayElement(env, start, IS_COMPILE) == NULL)
            return run_warm(env, start);
        /* launcher, "compile", then what Launcher.compile takes */
        jobjectArray argv = (*env)->GetObjectArrayElement(env, start, ARGV_STRINGS);
        jint exit_code = compile(env, launcher, argv);
        say((unsigned char[]){'E', (unsigned char)exit_code}, 2);
    }
}

static int compile_cold(char **arguments)
{
    JNIEnv *env = create_machine();
    return compile(env, load_launcher(env), java_strings(env, arguments));
}

struct command {
    int argc;
    char **argv;
    int exit_code;
};

static void *execute(void *argument)
{
    struct command *command = argument;
    const char *verb = command->argc > 1 ? command->argv[1] : "";
    if (strcmp(verb, "wait") == 0)
        command->exit_code = wait_for_a_run();
    else if (strcmp(verb, "compile") == 0 && command->argc > 2)
        command->exit_code = compile_cold(command->argv);
    else
        fail("usage: launcher wait | compile [OPTION...] ENTRY | run ENTRY [ARGUMENT...]");
    return NULL;
}

/* As the `java` command does, it gives Java a thread of its own: the first one of a process has another kind of stack. */
int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "run") == 0)
        run_cold(argv + 3, environ); /* the entry is known from when it was compiled */
    struct command command = {.argc = argc, .argv = argv};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&thread, &attributes, execute, &command) != 0 || pthread_join(thread, NULL) != 0)
        fail("no thread");
    return command.exit_code;
}
