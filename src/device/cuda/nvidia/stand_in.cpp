// What the driver of NVIDIA's devices asks of libcuda, NVRTC and cuBLASLt, done on the host, so that the driver
// is tested where there is no GPU. Work is done when it is asked for, or noted while a stream is captured.
// Handles, contexts, ranges of memory, alignments and joins of captured streams are checked as CUDA checks
// them, or more strictly: a call that CUDA would leave undefined fails here. Kernels are those built for the
// host; CROSSRX_STAND_IN_F32 and _BF16 name the libraries that hold them.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

typedef uint64_t u64;
typedef std::function<void()> Work;

namespace {

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500,
       ILLEGAL_STATE = 401, CAPTURE_UNSUPPORTED = 900, CAPTURE_UNJOINED = 904 };

struct Graph { std::vector<Work> work; };
struct Stream { Graph* graph = nullptr; bool first = false, unjoined = false; };
struct Event { Stream* stream = nullptr; Graph* graph = nullptr; };
struct Module { std::string source, numbers; };
struct Function { void (*launch)(const unsigned*, const unsigned*, void**); std::string kinds; };

std::mutex all;   // calls come from many threads; each is done alone
int retained = 0;
thread_local bool current = false;
std::map<u64, size_t> memory;
std::map<void*, size_t> pinned;
std::set<Stream*> streams;
std::set<Event*> events;
std::set<Graph*> graphs, executables;
std::set<Module*> modules;
std::vector<Function*> functions;

bool inside(u64 at, size_t bytes) {
    auto next = memory.upper_bound(at);
    if (next == memory.begin()) return false;
    --next;
    return at + bytes <= next->first + next->second;
}

// Does `work` now, or notes it where the stream is captured.
int put(Stream* stream, Work work) {
    if (!current) return INVALID_CONTEXT;
    if (!streams.count(stream)) return INVALID_HANDLE;
    if (!stream->graph) { work(); return OK; }
    stream->graph->work.push_back(work);
    if (!stream->first) stream->unjoined = true;
    return OK;
}

struct Description { int kind; u64 attribute[32] = {}; int type = 0; u64 rows = 0, columns = 0; int64_t leading = 0; };

float get(const Description& of, u64 at, u64 row, u64 column) {
    const u64 i = column * of.leading + row;
    if (of.type == 0) return ((float*)at)[i];
    const uint32_t bits = (uint32_t)((uint16_t*)at)[i] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

void set(const Description& of, u64 at, u64 row, u64 column, float value) {
    const u64 i = column * of.leading + row;
    if (of.type == 0) { ((float*)at)[i] = value; return; }
    uint32_t bits;
    memcpy(&bits, &value, 4);
    ((uint16_t*)at)[i] = std::isnan(value) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

bool whole(const Description& of, u64 at) {
    const size_t width = of.type == 0 ? 4 : 2;
    return inside(at, ((of.columns - 1) * of.leading + of.rows) * width);
}

}  // namespace

#define LOCK std::lock_guard<std::mutex> lock(all)
#define NEEDS(what, code) do { if (!(what)) return code; } while (0)

extern "C" {

int cuInit(unsigned) { return OK; }
int cuDriverGetVersion(int* version) { *version = 12040; return OK; }
int cuDeviceGetCount(int* count) { *count = 1; return OK; }
int cuDeviceGet(int* device, int index) { *device = 7; return index == 0 ? OK : 101; }
int cuDeviceGetName(char* name, int length, int) { snprintf(name, length, "Stand-in"); return OK; }
int cuDeviceTotalMem_v2(size_t* bytes, int) { *bytes = (size_t)4 << 30; return OK; }
int cuDeviceGetUuid(char* id, int) { memset(id, 0xab, 16); return OK; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : -1;
    return OK;
}
int cuGetErrorName(int code, const char** name) { *name = code == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR"; return OK; }
int cuGetErrorString(int code, const char** text) {
    static thread_local char buffer[32];
    snprintf(buffer, sizeof buffer, "code %d", code);
    *text = buffer;
    return OK;
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
    LOCK;
    NEEDS(device == 7, INVALID_VALUE);
    retained++;
    *context = &retained;
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int) {
    LOCK;
    if (--retained == 0 && (memory.size() || pinned.size() || streams.size() || events.size() || graphs.size() ||
                            executables.size() || modules.size())) {
        fprintf(stderr, "stand-in: left behind: %zu blocks, %zu pinned, %zu streams, %zu events, %zu graphs, "
                "%zu executables, %zu modules\n", memory.size(), pinned.size(), streams.size(), events.size(),
                graphs.size(), executables.size(), modules.size());
        abort();
    }
    return OK;
}
int cuCtxSetCurrent(void* context) { current = context == &retained; return current ? OK : INVALID_CONTEXT; }

int cuMemGetInfo_v2(size_t* free, size_t* total) { NEEDS(current, INVALID_CONTEXT); *free = *total = (size_t)4 << 30; return OK; }
int cuMemAlloc_v2(u64* at, size_t bytes) {
    LOCK;
    NEEDS(current, INVALID_CONTEXT);
    NEEDS(bytes > 0, INVALID_VALUE);
    NEEDS(bytes < (size_t)4 << 30, OUT_OF_MEMORY);
    void* taken = aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(taken, 0xee, bytes);
    *at = (u64)taken;
    memory[*at] = bytes;
    return OK;
}
int cuMemFree_v2(u64 at) {
    LOCK;
    NEEDS(current, INVALID_CONTEXT);
    NEEDS(memory.erase(at), INVALID_VALUE);
    free((void*)at);
    return OK;
}
int cuMemHostAlloc(void** at, size_t bytes, unsigned) { LOCK; NEEDS(current, INVALID_CONTEXT); *at = malloc(bytes); pinned[*at] = bytes; return OK; }
int cuMemFreeHost(void* at) { LOCK; NEEDS(pinned.erase(at), INVALID_VALUE); free(at); return OK; }
int cuMemHostRegister_v2(void* at, size_t bytes, unsigned) { LOCK; NEEDS(current && !pinned.count(at), INVALID_VALUE); pinned[at] = bytes; return OK; }
int cuMemHostUnregister(void* at) { LOCK; NEEDS(current && pinned.erase(at), INVALID_VALUE); return OK; }

// Copies from and to the host are not for recording.
int cuMemcpyHtoDAsync_v2(u64 to, const void* from, size_t bytes, Stream* stream) {
    LOCK;
    NEEDS(inside(to, bytes), INVALID_VALUE);
    NEEDS(!streams.count(stream) || !stream->graph, CAPTURE_UNSUPPORTED);
    return put(stream, [=] { memcpy((void*)to, from, bytes); });
}
int cuMemcpyDtoHAsync_v2(void* to, u64 from, size_t bytes, Stream* stream) {
    LOCK;
    NEEDS(inside(from, bytes), INVALID_VALUE);
    NEEDS(!streams.count(stream) || !stream->graph, CAPTURE_UNSUPPORTED);
    return put(stream, [=] { memcpy(to, (void*)from, bytes); });
}
int cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t bytes, Stream* stream) {
    LOCK;
    NEEDS(bytes > 0 && inside(to, bytes) && inside(from, bytes), INVALID_VALUE);
    return put(stream, [=] { memmove((void*)to, (void*)from, bytes); });
}
int cuMemsetD8Async(u64 at, unsigned char value, size_t bytes, Stream* stream) {
    LOCK;
    NEEDS(bytes > 0 && inside(at, bytes), INVALID_VALUE);
    return put(stream, [=] { memset((void*)at, value, bytes); });
}

int cuStreamCreate(Stream** stream, unsigned flags) { LOCK; NEEDS(current && flags == 1, INVALID_VALUE); streams.insert(*stream = new Stream); return OK; }
int cuStreamDestroy_v2(Stream* stream) { LOCK; NEEDS(streams.erase(stream), INVALID_HANDLE); delete stream; return OK; }
int cuStreamSynchronize(Stream* stream) {
    LOCK;
    NEEDS(current, INVALID_CONTEXT);
    NEEDS(streams.count(stream), INVALID_HANDLE);
    return stream->graph ? CAPTURE_UNSUPPORTED : OK;
}
int cuStreamBeginCapture_v2(Stream* stream, int) {
    LOCK;
    NEEDS(streams.count(stream), INVALID_HANDLE);
    NEEDS(!stream->graph, ILLEGAL_STATE);
    graphs.insert(stream->graph = new Graph);
    stream->first = true;
    return OK;
}
int cuStreamEndCapture(Stream* stream, Graph** graph) {
    LOCK;
    NEEDS(streams.count(stream) && stream->graph && stream->first, ILLEGAL_STATE);
    *graph = stream->graph;
    int code = OK;
    for (Stream* other : streams)
        if (other->graph == *graph) {
            if (other->unjoined) code = CAPTURE_UNJOINED;
            *other = Stream();
        }
    if (code) { graphs.erase(*graph); delete *graph; *graph = nullptr; }
    return code;
}
int cuStreamWaitEvent(Stream* stream, Event* event, unsigned) {
    LOCK;
    NEEDS(streams.count(stream) && events.count(event), INVALID_HANDLE);
    if (!event->graph) return OK;
    NEEDS(!stream->graph || stream->graph == event->graph, CAPTURE_UNSUPPORTED);
    stream->graph = event->graph;
    if (event->stream != stream) event->stream->unjoined = false;
    if (!stream->first) stream->unjoined = true;
    return OK;
}

int cuEventCreate(Event** event, unsigned) { LOCK; NEEDS(current, INVALID_CONTEXT); events.insert(*event = new Event); return OK; }
int cuEventDestroy_v2(Event* event) { LOCK; NEEDS(events.erase(event), INVALID_HANDLE); delete event; return OK; }
int cuEventRecord(Event* event, Stream* stream) {
    LOCK;
    NEEDS(events.count(event) && streams.count(stream), INVALID_HANDLE);
    *event = {stream, stream->graph};
    return OK;
}
int cuEventSynchronize(Event* event) { LOCK; NEEDS(events.count(event), INVALID_HANDLE); return event->graph ? CAPTURE_UNSUPPORTED : OK; }

int cuGraphInstantiateWithFlags(Graph** made, Graph* graph, unsigned long long) {
    LOCK;
    NEEDS(graphs.count(graph), INVALID_HANDLE);
    executables.insert(*made = new Graph(*graph));
    return OK;
}
int cuGraphDestroy(Graph* graph) { LOCK; NEEDS(graphs.erase(graph), INVALID_HANDLE); delete graph; return OK; }
int cuGraphExecDestroy(Graph* graph) { LOCK; NEEDS(executables.erase(graph), INVALID_HANDLE); delete graph; return OK; }
int cuGraphLaunch(Graph* graph, Stream* stream) {
    LOCK;
    NEEDS(executables.count(graph), INVALID_HANDLE);
    return put(stream, [=] { for (Work& work : graph->work) work(); });
}

// A cubin of the NVRTC below: the source's name and its numbers.
int cuModuleLoadData(Module** module, const char* cubin) {
    LOCK;
    NEEDS(current, INVALID_CONTEXT);
    char source[64], numbers[8];
    NEEDS(sscanf(cubin, "stand-in %63s %7s", source, numbers) == 2, 200);
    modules.insert(*module = new Module{source, numbers});
    return OK;
}
int cuModuleUnload(Module* module) { LOCK; NEEDS(modules.erase(module), INVALID_HANDLE); delete module; return OK; }
int cuModuleGetFunction(Function** function, Module* module, const char* name) {
    LOCK;
    NEEDS(modules.count(module), INVALID_HANDLE);
    const char* path = getenv(module->numbers == "bf16" ? "CROSSRX_STAND_IN_BF16" : "CROSSRX_STAND_IN_F32");
    void* library = path ? dlopen(path, RTLD_NOW) : nullptr;
    NEEDS(library, NOT_FOUND);
    const std::string key = module->source + "_" + name;
    void* launch = dlsym(library, ("launch_" + key).c_str());
    void* kinds = dlsym(library, ("kinds_" + key).c_str());
    NEEDS(launch && kinds, NOT_FOUND);
    *function = new Function{(void (*)(const unsigned*, const unsigned*, void**))launch, ((const char* (*)())kinds)()};
    functions.push_back(*function);
    return OK;
}
int cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, Stream* stream, void** arguments, void** extra) {
    LOCK;
    NEEDS(gx && gy && gz == 1 && bz == 1 && bx * by && bx * by <= 1024 && gy <= 65535 && !shared && !extra, INVALID_VALUE);
    // Arguments are copied by the call; the host's kernels take pointers to them.
    std::vector<u64> values;
    for (size_t i = 0; i < function->kinds.size(); i++) {
        u64 value = 0;
        const char kind = function->kinds[i];
        memcpy(&value, arguments[i], kind == 'p' || kind == 'l' ? 8 : 4);
        values.push_back(value);
    }
    return put(stream, [=]() mutable {
        std::vector<void*> pointers;
        for (u64& value : values) pointers.push_back(&value);
        const unsigned grid[2] = {gx, gy}, block[2] = {bx, by};
        function->launch(grid, block, pointers.data());
    });
}

// NVRTC

struct Program { std::string name, cubin; };
int nvrtcVersion(int* major, int* minor) { *major = 12; *minor = 4; return 0; }
const char* nvrtcGetErrorString(int) { return "NVRTC_ERROR"; }
int nvrtcGetNumSupportedArchs(int* count) { *count = 2; return 0; }
int nvrtcGetSupportedArchs(int* list) { list[0] = 80; list[1] = 90; return 0; }
int nvrtcCreateProgram(Program** program, const char* text, const char* name, int headers, const char* const* header,
                       const char* const* header_name) {
    NEEDS(headers == 1 && strstr(header[0], "#define KERNEL") && !strcmp(header_name[0], "crossrx.cuh"), 3);
    NEEDS(strstr(text, "KERNEL "), 3);
    *program = new Program{name, ""};
    return 0;
}
int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
    std::string numbers = "f32";
    bool architecture = false;
    for (int i = 0; i < count; i++) {
        if (!strcmp(options[i], "--define-macro=BF16")) numbers = "bf16";
        if (!strcmp(options[i], "--gpu-architecture=sm_90")) architecture = true;
    }
    NEEDS(architecture, 5);
    program->cubin = "stand-in " + program->name.substr(0, program->name.find(".cu")) + " " + numbers + "\n";
    return 0;
}
int nvrtcGetProgramLogSize(Program*, size_t* size) { *size = 1; return 0; }
int nvrtcGetProgramLog(Program*, char* log) { *log = 0; return 0; }
int nvrtcGetCUBINSize(Program* program, size_t* size) { *size = program->cubin.size() + 1; return 0; }
int nvrtcGetCUBIN(Program* program, char* to) { strcpy(to, program->cubin.c_str()); return 0; }
int nvrtcDestroyProgram(Program** program) { delete *program; *program = nullptr; return 0; }

// cuBLASLt: matrices are column-major, a description's attributes are kept by their numbers.

enum { DESCRIPTION, LAYOUT, PREFERENCE, HANDLE };
struct Found { u64 algorithm[8]; size_t workspace; int status; float waves; int reserved[4]; };

size_t cublasLtGetVersion() { return 120400; }
const char* cublasLtGetStatusString(int code) { return code == 15 ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS"; }
int cublasLtCreate(Description** handle) { NEEDS(current, 1); *handle = new Description{HANDLE}; return 0; }
int cublasLtDestroy(Description* handle) { NEEDS(handle->kind == HANDLE, 7); delete handle; return 0; }
int cublasLtMatmulDescCreate(Description** made, int compute, int scale) {
    NEEDS((compute == 68 || compute == 77) && scale == 0, 7);
    *made = new Description{DESCRIPTION};
    (*made)->type = compute;
    return 0;
}
int cublasLtMatmulDescDestroy(Description* of) { NEEDS(of->kind == DESCRIPTION, 7); delete of; return 0; }
int cublasLtMatrixLayoutCreate(Description** made, int type, u64 rows, u64 columns, int64_t leading) {
    NEEDS((type == 0 || type == 14) && rows && columns && leading >= (int64_t)rows, 7);
    *made = new Description{LAYOUT};
    (*made)->type = type;
    (*made)->rows = rows;
    (*made)->columns = columns;
    (*made)->leading = leading;
    return 0;
}
int cublasLtMatrixLayoutDestroy(Description* of) { NEEDS(of->kind == LAYOUT, 7); delete of; return 0; }
int cublasLtMatmulPreferenceCreate(Description** made) { *made = new Description{PREFERENCE}; return 0; }
int cublasLtMatmulPreferenceDestroy(Description* of) { NEEDS(of->kind == PREFERENCE, 7); delete of; return 0; }
// TRANSA, TRANSB and EPILOGUE take 4 bytes, the pointer of the bias 8.
int cublasLtMatmulDescSetAttribute(Description* of, int attribute, const void* value, size_t bytes) {
    NEEDS(of->kind == DESCRIPTION, 7);
    NEEDS((attribute == 3 || attribute == 4 || attribute == 7) ? bytes == 4 : attribute == 8 && bytes == 8, 7);
    of->attribute[attribute] = 0;
    memcpy(&of->attribute[attribute], value, bytes);
    return 0;
}
// MAX_WORKSPACE_BYTES takes 8 bytes, REDUCTION_SCHEME_MASK and the alignments 4.
int cublasLtMatmulPreferenceSetAttribute(Description* of, int attribute, const void* value, size_t bytes) {
    NEEDS(of->kind == PREFERENCE, 7);
    NEEDS(attribute == 1 ? bytes == 8 : (attribute == 3 || (attribute >= 5 && attribute <= 8)) && bytes == 4, 7);
    of->attribute[attribute] = 0;
    memcpy(&of->attribute[attribute], value, bytes);
    return 0;
}
int cublasLtMatmulAlgoGetHeuristic(Description* handle, Description* of, Description* a, Description* b,
                                   Description* c, Description* d, Description* preference, int wanted, Found* found,
                                   int* count) {
    NEEDS(handle->kind == HANDLE && of->kind == DESCRIPTION && preference->kind == PREFERENCE && wanted == 1, 7);
    NEEDS(a->kind == LAYOUT && b->kind == LAYOUT && c == d && d->kind == LAYOUT, 7);
    const bool ta = of->attribute[3], tb = of->attribute[4];
    const u64 m = ta ? a->columns : a->rows, k = ta ? a->rows : a->columns;
    const u64 k2 = tb ? b->columns : b->rows, n = tb ? b->rows : b->columns;
    NEEDS(k == k2 && m == d->rows && n == d->columns && a->type == b->type, 7);
    // Results of bfloat16 are of factors of bfloat16; TF32 is of factors in single precision.
    NEEDS(!(a->type == 0 && d->type == 14) && !(of->type == 77 && a->type != 0), 15);
    NEEDS(preference->attribute[3] == 2, 15);
    *found = Found{};
    for (int i = 0; i < 4; i++) found->algorithm[i] = preference->attribute[5 + i];
    found->algorithm[4] = preference->attribute[1];
    *count = 1;
    return 0;
}
int cublasLtMatmul(Description* handle, Description* of, const float* alpha, u64 a, Description* la, u64 b,
                   Description* lb, const float* beta, u64 c, Description* lc, u64 d, Description* ld,
                   const u64* algorithm, u64 workspace, size_t workspace_bytes, Stream* stream) {
    LOCK;
    NEEDS(handle->kind == HANDLE && c == d && lc == ld, 7);
    NEEDS(inside(workspace, workspace_bytes) && workspace_bytes >= algorithm[4], 7);
    NEEDS(algorithm[0] && a % algorithm[0] == 0 && algorithm[1] && b % algorithm[1] == 0, 7);
    NEEDS(algorithm[2] && d % algorithm[2] == 0 && algorithm[3] == algorithm[2], 7);
    NEEDS(whole(*la, a) && whole(*lb, b) && whole(*ld, d), 7);
    const Description A = *la, B = *lb, D = *ld;
    const bool ta = of->attribute[3], tb = of->attribute[4];
    const u64 epilogue = of->attribute[7], bias = epilogue & 4 ? of->attribute[8] : 0;
    NEEDS(epilogue == 1 || epilogue == 2 || epilogue == 4 || epilogue == 6, 7);
    NEEDS(!(epilogue & 4) || inside(bias, D.rows * (D.type == 0 ? 4 : 2)), 7);
    const float one = *alpha, more = *beta;
    const u64 k = ta ? A.rows : A.columns;
    const int code = put(stream, [=] {
        Description vector = D;
        for (u64 column = 0; column < D.columns; column++)
            for (u64 row = 0; row < D.rows; row++) {
                double sum = 0;
                for (u64 l = 0; l < k; l++)
                    sum += (double)(ta ? get(A, a, l, row) : get(A, a, row, l)) *
                           (double)(tb ? get(B, b, column, l) : get(B, b, l, column));
                sum *= one;
                if (more != 0) sum += (double)more * get(D, d, row, column);
                if (bias) sum += get(vector, bias, row, 0);
                set(D, d, row, column, (epilogue & 2) && sum < 0 ? 0.0f : (float)sum);
            }
    });
    return code ? 13 : 0;
}

}  // extern "C"
