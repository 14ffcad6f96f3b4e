/* A driver for machines without one: two cards of 32 GB, of which the second
 * has more free, and the processes whose numbers are in the file DRIVER_PIDS,
 * all on the second card; or one card, whose compute capability is in
 * DRIVER_CAPABILITY. Only what explr needs; it takes the rest as unknown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, TOO_SMALL = 7 };

typedef struct {
    unsigned version;
    unsigned long long total, reserved, free, used;
} Memory;

typedef struct {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
} Process;

static char cards[2];

static int is_second(void *card) { return card == &cards[1]; }
static const char *capability(void) { return getenv("DRIVER_CAPABILITY"); }
static unsigned count(void) { return capability() ? 1 : 2; }

int nvmlInit_v2(void) { return OK; }
int nvmlShutdown(void) { return OK; }

int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    snprintf(text, length, "570.195.03");
    return OK;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = 12080;
    return OK;
}

int nvmlDeviceGetCount_v2(unsigned *number) {
    *number = count();
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **card) {
    if (index >= count()) return INVALID;
    *card = &cards[index];
    return OK;
}

int nvmlDeviceGetName(void *card, char *text, unsigned length) {
    if (count() == 1) snprintf(text, length, "NVIDIA Test");
    else snprintf(text, length, "NVIDIA Test %d", is_second(card) + 1);
    return OK;
}

int nvmlDeviceGetUUID(void *card, char *text, unsigned length) {
    snprintf(text, length, is_second(card) ? "GPU-second" : "GPU-first");
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(void *card, int *major, int *minor) {
    if (!capability()) return NOT_SUPPORTED;
    return sscanf(capability(), "%d.%d", major, minor) == 2 ? OK : INVALID;
}

int nvmlDeviceGetMemoryInfo_v2(void *card, Memory *memory) {
    memory->total = 32000000000ULL;
    memory->reserved = 0;
    memory->used = is_second(card) ? 1000000000ULL : 9000000000ULL;
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *card, unsigned *number, Process *processes) {
    unsigned room = processes ? *number : 0, found = 0, pid;
    const char *name = getenv("DRIVER_PIDS");
    FILE *file = name && is_second(card) ? fopen(name, "r") : NULL;
    while (file && fscanf(file, "%u", &pid) == 1) {
        if (found < room) {
            memset(&processes[found], 0, sizeof *processes);
            processes[found].pid = pid;
            processes[found].used = 500000000ULL;
        }
        found++;
    }
    if (file) fclose(file);
    *number = found;
    return found > room ? TOO_SMALL : OK;
}
