/* Runs one kernel's C entry. Standard input: how many words; of each, what it is (0 a word, 1 an array) and the word,
   or the array's length in bytes and the bytes. Standard output: what the kernel returned, then every array. */
#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 64 };

long long entry(long long *words) __asm__(ENTRY);

static long long word(void) {
    long long value;
    if (fread(&value, sizeof value, 1, stdin) != 1) exit(1);
    return value;
}

int main(void) {
    long long words[WORDS_MAX], bytes[WORDS_MAX] = {0}, count = word();
    if (count > WORDS_MAX) return 1;
    for (long long i = 0; i < count; i++) {
        long long is_array = word();
        words[i] = word();
        if (!is_array) continue;
        bytes[i] = words[i];
        void *data = aligned_alloc(64, (bytes[i] + 63) / 64 * 64);
        if (!data || fread(data, 1, bytes[i], stdin) != (size_t)bytes[i]) return 1;
        words[i] = (long long)data;
    }
    long long result = entry(words);
    fwrite(&result, sizeof result, 1, stdout);
    for (long long i = 0; i < count; i++)
        if (bytes[i]) fwrite((void *)words[i], 1, bytes[i], stdout);
    return 0;
}
