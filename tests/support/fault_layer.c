// A Vulkan layer between the loader and the driver, which answers as a driver does that has lost its device or has no memory left. The test
// of lost devices compiles it and puts it there.
//
//   LIMBECK_VULKAN_FAULT=submit:17   the device is lost at its 17th submission, and stays lost
//   LIMBECK_VULKAN_FAULT=wait:5      it is lost where it is waited for, the 5th time
//   LIMBECK_VULKAN_FAULT=memory:20   from the 20th allocation on there is no memory
//
// The first device of the process is meant; others, which only compile, go on. Declared here is the little that is needed of Vulkan.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int32_t Result;
typedef void (*Function)(void);
typedef Function (*GetProc)(void *, const char *);

enum { SUCCESS = 0, NO_MEMORY = -2, LOST = -4, FAILED = -3, LOADER_INSTANCE = 47, LOADER_DEVICE = 48 };

typedef struct Link {
    struct Link *next;
    GetProc instance, other;
} Link;

typedef struct Chain {
    int type;
    const struct Chain *next;
    int function;
    Link *link;
} Chain;

typedef struct {
    int type;
    void *next;
    uint32_t version;
    GetProc instance, device, physical;
} Negotiation;

static GetProc next_instance, next_device;
static void *first;
static const char *kind;
static long at, counts[3];
static int lost;

static void read_plan(void) {
    const char *text = getenv("LIMBECK_VULKAN_FAULT"), *colon = text ? strchr(text, ':') : NULL;
    kind = colon ? text : "";
    at = colon ? atol(colon + 1) : 0;
}

// Objects of one device begin with the same word, the loader's.
static int mine(void *object) { return first && *(void **)object == *(void **)first; }

static int met(int which, const char *name, void *object) {
    if (!mine(object)) return 0;
    long number = __sync_add_and_fetch(&counts[which], 1);
    return strncmp(kind, name, strlen(name)) == 0 && number >= at;
}

static Result queue_submit(void *queue, uint32_t count, const void *submits, uint64_t fence) {
    if (mine(queue) && (lost || met(0, "submit", queue))) return lost = 1, LOST;
    return ((Result(*)(void *, uint32_t, const void *, uint64_t))next_device(first, "vkQueueSubmit"))(queue, count, submits, fence);
}

static Result wait_semaphores(void *device, const void *info, uint64_t timeout) {
    if (mine(device) && (lost || met(1, "wait", device))) return lost = 1, LOST;
    return ((Result(*)(void *, const void *, uint64_t))next_device(first, "vkWaitSemaphores"))(device, info, timeout);
}

static Result counter_value(void *device, uint64_t semaphore, uint64_t *value) {
    if (mine(device) && lost) return LOST;
    return ((Result(*)(void *, uint64_t, uint64_t *))next_device(first, "vkGetSemaphoreCounterValue"))(device, semaphore, value);
}

static Result wait_fences(void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout) {
    if (mine(device) && (lost || met(1, "wait", device))) return lost = 1, LOST;
    return ((Result(*)(void *, uint32_t, const uint64_t *, uint32_t, uint64_t))next_device(first, "vkWaitForFences"))(device, count, fences, all, timeout);
}

static Result queue_idle(void *queue) {
    if (mine(queue) && lost) return LOST;
    return ((Result(*)(void *))next_device(first, "vkQueueWaitIdle"))(queue);
}

static Result device_idle(void *device) {
    if (mine(device) && lost) return LOST;
    return ((Result(*)(void *))next_device(first, "vkDeviceWaitIdle"))(device);
}

static Result allocate(void *device, const void *info, const void *allocator, uint64_t *memory) {
    if (met(2, "memory", device)) return NO_MEMORY;
    return ((Result(*)(void *, const void *, const void *, uint64_t *))next_device(first, "vkAllocateMemory"))(device, info, allocator, memory);
}

static const Chain *link_of(const Chain *chain, int type) {
    while (chain && !(chain->type == type && chain->function == 0)) chain = chain->next;
    return chain;
}

static Result create_instance(const Chain *info, const void *allocator, void **instance) {
    Chain *chain = (Chain *)link_of(info->next, LOADER_INSTANCE);
    if (!chain) return FAILED;
    next_instance = chain->link->instance;
    chain->link = chain->link->next;
    return ((Result(*)(const Chain *, const void *, void **))next_instance(NULL, "vkCreateInstance"))(info, allocator, instance);
}

static Result create_device(void *physical, const Chain *info, const void *allocator, void **device) {
    Chain *chain = (Chain *)link_of(info->next, LOADER_DEVICE);
    if (!chain) return FAILED;
    GetProc instance = chain->link->instance;
    next_device = chain->link->other;
    chain->link = chain->link->next;
    Result result =
        ((Result(*)(void *, const Chain *, const void *, void **))instance(NULL, "vkCreateDevice"))(physical, info, allocator, device);
    if (result == SUCCESS && !first) {
        first = *device;
        read_plan();
    }
    return result;
}

static Function get_device(void *device, const char *name);
static Function get_instance(void *instance, const char *name);

static Function own(const char *name) {
    static const struct { const char *name; Function function; } all[] = {
        {"vkCreateInstance", (Function)create_instance}, {"vkCreateDevice", (Function)create_device},
        {"vkGetInstanceProcAddr", (Function)get_instance}, {"vkGetDeviceProcAddr", (Function)get_device},
        {"vkQueueSubmit", (Function)queue_submit}, {"vkWaitSemaphores", (Function)wait_semaphores},
        {"vkGetSemaphoreCounterValue", (Function)counter_value}, {"vkWaitForFences", (Function)wait_fences},
        {"vkQueueWaitIdle", (Function)queue_idle}, {"vkDeviceWaitIdle", (Function)device_idle},
        {"vkAllocateMemory", (Function)allocate},
    };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, name) == 0) return all[i].function;
    return NULL;
}

static Function get_device(void *device, const char *name) {
    Function function = own(name);
    return function ? function : next_device(device, name);
}

static Function get_instance(void *instance, const char *name) {
    Function function = own(name);
    return function ? function : next_instance ? next_instance(instance, name) : NULL;
}

Result vkNegotiateLoaderLayerInterfaceVersion(Negotiation *negotiation) {
    negotiation->version = 2;
    negotiation->instance = get_instance;
    negotiation->device = get_device;
    negotiation->physical = NULL;
    return SUCCESS;
}
