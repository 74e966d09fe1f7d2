/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the test is built with AddressSanitizer, which takes memory and system calls of its own.
 */
#pragma once

#ifdef __SANITIZE_ADDRESS__
#define SANITISED 1
#else
#define SANITISED 0
#endif
