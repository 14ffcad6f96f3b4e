/* A driver for machines without one: 570.195.03, and one card whose compute
 * capability is in CAPABILITY. */
#include <stdio.h>
#include <stdlib.h>

static char card;

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }

int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    snprintf(text, length, "570.195.03");
    return 0;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = 12080;
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = 1;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = &card;
    return index;
}

int nvmlDeviceGetName(void *device, char *text, unsigned length) {
    snprintf(text, length, "NVIDIA Test");
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *text, unsigned length) {
    snprintf(text, length, "GPU-test");
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    return sscanf(getenv("CAPABILITY"), "%d.%d", major, minor) - 2;
}
