// SPDX-License-Identifier: Apache-2.0
//
// replay.c: runs a fuzz target over its corpus where libFuzzer is not linked.
//
// Every ordinary build replays every input the fuzzers have found worth keeping, under gcc and its
// sanitizers too. The arguments are files, or folders whose files are taken in turn; a folder that
// does not exist is an empty corpus. The target is always given the empty input as well. Each
// input is copied into an allocation of exactly its size, so that reading past it is seen.
#include "base/assert.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

// A corpus file is small; a larger one was not put there by a fuzzer.
#define INPUT_BYTES_MAX (4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    ASSERT(file);
    struct stat status;
    ASSERT(fstat(fileno(file), &status) == 0);
    ASSERT(status.st_size <= INPUT_BYTES_MAX);
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size ? size : 1);
    ASSERT(data);
    ASSERT(fread(data, 1, size, file) == size);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static unsigned replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    ASSERT(folder);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char name[4096];
        int len = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        ASSERT(len > 0 && (size_t)len < sizeof(name));
        count += replay_file(name);
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 1;
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat status;
        if (stat(argv[i], &status) != 0) {
            continue;
        }
        count += S_ISDIR(status.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i]);
    }
    printf("replayed %u inputs\n", count);
    return 0;
}
