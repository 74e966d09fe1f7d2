# SPDX-License-Identifier: GPL-2.0-or-later
# Everything is built below $(BUILD); `make help` lists the targets.

BUILD ?= build
PREFIX ?= /usr/local
.DEFAULT_GOAL := all
# How a component is built, and those of a guest.
include guest-provision/guest.mk

# For what runs where there is no library.
STATIC := -std=gnu17 -D_GNU_SOURCE -I. -Wall -Wextra -Wno-unused-parameter -O2 -static -s
ifeq ($(CI),true)
STATIC += -Werror
endif

# --- components: the sources of each folder, and the packages it needs --------------------------
base_SRC := $(wildcard launcher/base/*.c)
launcher_SRC := $(filter-out launcher/base/% launcher/vsock/%,$(wildcard launcher/*/*.c))
launcher_PKG := libvirt libxml-2.0 json-glib-1.0 virglrenderer libcurl libarchive
# The host reads the configurations of sessions as the guest does.
provision_SRC := $(wildcard guest-provision/*.c) guest-provision/session/config.c
provision_PKG := libssh json-glib-1.0
h264_SRC := $(wildcard cli/h264/*.c)
h264_PKG := glib-2.0
recorder_SRC := $(wildcard cli/recorder/*.c)
recorder_PKG := glib-2.0 json-glib-1.0 libavformat libavcodec libavutil libswscale libseccomp
cli_SRC := $(wildcard cli/*.c)
cli_PKG := libcurl json-glib-1.0 libvirt virglrenderer libsoup-3.0
vsock_SRC := $(wildcard launcher/vsock/*.c)
vsock_PKG := gio-2.0 libseccomp
encoder_SRC := $(wildcard encoder/service/*.c)
encoder_PKG := gio-2.0 x264 json-glib-1.0 libseccomp
module_SRC := $(wildcard encoder/qemu-module/*.c)
module_PKG := glib-2.0 virglrenderer
# What the guest's session and the host's viewer share: the wire format alone.
protocol_SRC := $(wildcard guest-provision/session/stream-protocol.c)
protocol_PKG := json-glib-1.0

HOST_COMPONENTS := base launcher provision h264 recorder cli vsock encoder module protocol
COMPONENTS := $(HOST_COMPONENTS) vsockenc session
PROGRAMS := $(BUILD)/helixvm $(BUILD)/helixvm-vsock $(BUILD)/helixvm-encoder \
	$(BUILD)/helixvm-recorder $(BUILD)/libhelixvm-export.so $(BUILD)/guest/libgstvsockenc.so $(BUILD)/guest/helixvm-session \
	$(BUILD)/guest/helixvm-init $(BUILD)/guest/abi $(BUILD)/guest/source.tar

.PHONY: all
all: $(PROGRAMS)

$(foreach c,$(HOST_COMPONENTS),$(eval $(call component,$(c))))

encoder_LIBS += -lm

$(BUILD)/helixvm: $(BUILD)/obj/cli/main.o $(BUILD)/lib/cli.a $(BUILD)/lib/h264.a $(BUILD)/lib/provision.a \
		$(BUILD)/lib/launcher.a $(protocol_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/lib/base.a
	$(LINK) $^ $(cli_LIBS) $(launcher_LIBS) $(provision_LIBS)
$(BUILD)/helixvm-vsock: $(BUILD)/obj/launcher/vsock/main.o $(BUILD)/lib/vsock.a $(BUILD)/lib/base.a
	$(LINK) $^ $(vsock_LIBS)
$(BUILD)/helixvm-encoder: $(BUILD)/obj/encoder/service/main.o $(BUILD)/lib/encoder.a $(BUILD)/lib/base.a
	$(LINK) $^ $(encoder_LIBS)
$(BUILD)/helixvm-recorder: $(BUILD)/obj/cli/recorder/main.o $(BUILD)/lib/recorder.a $(BUILD)/lib/h264.a \
		$(protocol_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/lib/base.a
	$(LINK) $^ $(recorder_LIBS)
$(BUILD)/libhelixvm-export.so: $(module_OBJ) $(BUILD)/lib/base.a
	$(LINK) -shared $^ $(shell $(PKG_CONFIG) --libs glib-2.0) -ldl
# What a guest has to have for them, at least: of the C library by the symbols that they take of it, of
# the others, whose symbols have no versions, what they were built with.
$(BUILD)/guest/abi: $(BUILD)/guest/libgstvsockenc.so $(BUILD)/guest/helixvm-session
	@objdump -T $^ | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1 | sed 's/GLIBC_/glibc /' >$@ && \
		grep -q '^glibc [0-9]' $@ && \
		for package in glib-2.0 gstreamer-1.0 libsoup-3.0 json-glib-1.0; do \
			version=$$($(PKG_CONFIG) --modversion $$package) || exit; \
			echo "$${package%-[0-9]*} $${version%.*}" >>$@; done
# Runs where there is no library: in the initial ramdisk.
$(BUILD)/guest/helixvm-init: guest-provision/image/init.c $(BUILD)/flags
	@mkdir -p $(@D) && echo link $@ && $(CC) $(STATIC) -o $@ $<
# For images of another architecture, where there is a compiler for it.
define foreign_init
$(BUILD)/guest/helixvm-init-$(1): guest-provision/image/init.c $(BUILD)/flags
	@mkdir -p $$(@D) && echo link $$@ && $(1)-linux-gnu-gcc $(STATIC) -o $$@ $$<
endef
FOREIGN := $(foreach a,$(filter-out $(shell uname -m),x86_64 aarch64),$(if \
	$(shell command -v $(a)-linux-gnu-gcc),$(a)))
$(foreach a,$(FOREIGN),$(eval $(call foreign_init,$(a))))
all: $(FOREIGN:%=$(BUILD)/guest/helixvm-init-%)

# --- tests ---------------------------------------------------------------------------------------
# tests/unit/COMPONENT/NAME.c links COMPONENT's archive, base and tests/fakes/COMPONENT-*.c.

UNIT_SRC := $(wildcard tests/unit/*/*.c)
UNIT_TESTS := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/unit/%)

# What a component's tests need besides.
h264_TEST_PKG := x264
vsockenc_TEST_PKG := gstreamer-check-1.0
module_TEST_PKG := epoxy
cli_TEST_OBJ := $(protocol_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/lib/h264.a $(BUILD)/lib/provision.a
cli_TEST_PKG := x264
vsock_TEST_OBJ := $(BUILD)/obj/tests/fuzz/device.o
# Its clock.
vsock_TEST_LIBS := -Wl,--wrap=g_get_monotonic_time

define unit_tests
$(1)_FAKES := $$(patsubst %.c,$(BUILD)/obj/%.o,$$(wildcard tests/fakes/$(1)-*.c))
$$($(1)_FAKES) $$(patsubst %.c,$(BUILD)/obj/%.o,$$(wildcard tests/unit/$(1)/*.c)): \
	COMPONENT_CFLAGS = $$($(1)_CFLAGS) $$(if $$($(1)_TEST_PKG),$$(shell $(PKG_CONFIG) --cflags $$($(1)_TEST_PKG)))
$$(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$$(wildcard tests/unit/$(1)/*.c)): \
$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $$($(1)_FAKES) $$(filter %.o,$$($(1)_TEST_OBJ)) \
		$(BUILD)/lib/$(1).a $$(filter %.a,$$($(1)_TEST_OBJ)) $(BUILD)/lib/base.a
	$$(LINK) $$^ $$($(1)_LIBS) $$($(1)_TEST_LIBS) $$(if $$($(1)_TEST_PKG),$$(shell $(PKG_CONFIG) --libs $$($(1)_TEST_PKG)))
endef
$(foreach c,$(COMPONENTS),$(eval $(call unit_tests,$(c))))
.SECONDARY:
$(BUILD)/tests/unit/module/read_back: | $(BUILD)/tests/virglrenderer-old/libvirglrenderer.so.1
$(BUILD)/tests/virglrenderer-old/libvirglrenderer.so.1: tests/fakes/virglrenderer-old.c
	@mkdir -p $(@D) && $(CC) -fPIC -shared -Wl,-soname,$(@F) -Wall -o $@ $< $(shell $(PKG_CONFIG) --cflags virglrenderer)

# A Helix server's WebSocket, for tests/unit/helix.t.
HELIX_API := $(BUILD)/tests/helix-api
$(BUILD)/obj/tests/fakes/helix-api.o $(BUILD)/obj/tests/fakes/endless-frames.o: COMPONENT_CFLAGS = $(session_CFLAGS)
$(HELIX_API): $(patsubst %,$(BUILD)/obj/tests/fakes/%.o,helix-api endless-frames cli-pictures) \
		$(protocol_SRC:%.c=$(BUILD)/obj/%.o)
	$(LINK) $^ $(session_LIBS) $(shell $(PKG_CONFIG) --libs x264)

# What `helixvm view` serves, with a session of its own, for tests/unit/view.t.
VIEW_HOST := $(BUILD)/tests/view-host
$(BUILD)/obj/tests/fakes/view-host.o: COMPONENT_CFLAGS = $(cli_CFLAGS)
$(VIEW_HOST): $(patsubst %,$(BUILD)/obj/tests/fakes/%.o,view-host endless-frames cli-pictures) $(BUILD)/lib/cli.a \
		$(BUILD)/lib/provision.a $(protocol_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/lib/base.a
	$(LINK) $^ $(cli_LIBS) $(provision_LIBS) $(shell $(PKG_CONFIG) --libs x264)

PROVE := prove --timer --failures --exec tests/one

.PHONY: check check-unit check-vm
STRESS_EXPORT := $(BUILD)/asan-module/libhelixvm-export.so $(BUILD)/stress/resources $(BUILD)/stress/resource-requests
GUEST_PROGRAMS := $(BUILD)/tests/vm/dmabuf-frames $(BUILD)/bench/traffic $(BUILD)/bench/drawing $(BUILD)/stress/blobs
check-unit: all $(UNIT_TESTS) $(HELIX_API) $(VIEW_HOST) sanitised-encoder
	BUILD=$(BUILD) $(PROVE) $(sort $(UNIT_TESTS)) $(sort $(wildcard tests/unit/*.t))
check-vm: all $(GUEST_PROGRAMS) $(STRESS_EXPORT)
	BUILD=$(BUILD) $(PROVE) $(sort $(wildcard tests/vm/*.t))
check: all $(UNIT_TESTS) $(HELIX_API) $(VIEW_HOST) sanitised-encoder $(GUEST_PROGRAMS) $(STRESS_EXPORT)
	BUILD=$(BUILD) $(PROVE) $(sort $(UNIT_TESTS)) $(sort $(wildcard tests/unit/*.t)) \
		$(sort $(wildcard tests/vm/*.t))

# For tests/unit/encoder-sanitised.t.
.PHONY: sanitised-encoder
sanitised-encoder:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan-encoder SANITIZE=address,undefined CFLAGS='-O1 -g' \
		$(addprefix $(BUILD)/asan-encoder/,helixvm-encoder tests/unit/encoder/picture)

# What takes a guest's data, under libFuzzer, in this process, with ASan and UBSan: SECONDS each (60),
# one of them with TARGET=.  tests/fuzz/NAME.c is a target; these are those of a component.
vsock_FUZZ := vhost-user rings packets
encoder_FUZZ := hxfr export-client
module_FUZZ := export-module
h264_FUZZ := sps
protocol_FUZZ := stream
FUZZ_TARGETS := $(or $(TARGET),$(vsock_FUZZ) $(encoder_FUZZ) $(module_FUZZ) $(h264_FUZZ) $(protocol_FUZZ))
# TARGET:FOLDER of the sources that it is to cover.
FUZZ_RUNS := $(foreach c,vsock encoder module h264 protocol,$(foreach t,$(filter $($(c)_FUZZ),$(FUZZ_TARGETS)),\
	$(t):$(patsubst %/,%,$(dir $(firstword $($(c)_SRC))))))
.PHONY: fuzz fuzz-programs
fuzz:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang SANITIZE=address,undefined \
		CFLAGS='-O1 -g -Wno-missing-field-initializers -Wno-unknown-attributes -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping' fuzz-programs
	tests/fuzz/run $(BUILD)/fuzz $(or $(SECONDS),60) $(FUZZ_RUNS)
fuzz-programs: $(FUZZ_TARGETS:%=$(BUILD)/%)
define fuzz_targets
$$(patsubst %,$(BUILD)/obj/tests/fuzz/%.o,$$($(1)_FUZZ) $(2)): COMPONENT_CFLAGS = $$($(1)_CFLAGS)
$$(addprefix $(BUILD)/,$$($(1)_FUZZ)): $(BUILD)/%: $(BUILD)/obj/tests/fuzz/%.o \
		$$(patsubst %,$(BUILD)/obj/tests/fuzz/%.o,$(2) input) $(BUILD)/lib/$(1).a $(BUILD)/lib/base.a
	$$(LINK) -fsanitize=fuzzer $$^ $$($(1)_LIBS) $$($(1)_TEST_LIBS)
endef
$(eval $(call fuzz_targets,vsock,device))
$(eval $(call fuzz_targets,encoder,))
$(eval $(call fuzz_targets,module,))
$(eval $(call fuzz_targets,h264,))
$(eval $(call fuzz_targets,protocol,))

# SIGKILL at random moments for all that a VM stands on: ROUNDS of them (100), SEED to repeat a run.
.PHONY: stress
stress: all
	BUILD=$(BUILD) tests/stress/enclosed tests/stress/killed $(or $(ROUNDS),100) $(SEED)

# Random traffic through the vsock device: ROUNDS of steps (1000000) four times, SEED to repeat a run.
.PHONY: stress-vsock
stress-vsock: $(BUILD)/helixvm-vsock $(BUILD)/tests/unit/vsock/random
	BUILD=$(BUILD) ROUNDS=$(or $(ROUNDS),1000000) SEED=$(SEED) $(BUILD)/tests/unit/vsock/random

# The same with a guest's driver, each byte compared: BYTES (10 GB), SEED to repeat a run.
.PHONY: stress-vsock-guest
stress-vsock-guest: all $(BUILD)/bench/traffic
	BUILD=$(BUILD) tests/stress/vsock-guest $(or $(BYTES),10000000000) $(SEED)

# Programs in an emulated guest map blobs and are killed: ROUNDS (1000) of three at once.
.PHONY: stress-blobs
stress-blobs: all $(BUILD)/stress/blobs
	BUILD=$(BUILD) tests/stress/blobs-mapped $(or $(ROUNDS),1000)

# The encoder module in QEMU, with the sanitisers: REQUESTS (100000) for resources that come and go.
.PHONY: stress-export
stress-export: all $(STRESS_EXPORT)
	BUILD=$(BUILD) tests/stress/export-module $(or $(REQUESTS),100000) $(SEED)
$(BUILD)/asan-module/libhelixvm-export.so: $(module_SRC) $(base_SRC) $(wildcard encoder/*.h encoder/qemu-module/*.h launcher/base/*.h)
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan-module SANITIZE=address,undefined CFLAGS='-O1 -g' $@
# They run in the guest: static.
$(BUILD)/stress/resources $(BUILD)/stress/blobs: $(BUILD)/stress/%: tests/stress/%.c $(BUILD)/flags
	@mkdir -p $(@D) && echo link $@ && $(CC) $(STATIC) -o $@ $<
$(BUILD)/obj/tests/stress/%.o: COMPONENT_CFLAGS = $(encoder_CFLAGS)
$(BUILD)/stress/resource-requests: $(BUILD)/obj/tests/stress/resource-requests.o $(BUILD)/lib/encoder.a \
		$(BUILD)/lib/base.a
	$(LINK) $^ $(encoder_LIBS)

# Runs in the guest, with its libraries.
dmabuf_frames_PKG := gstreamer-app-1.0 $(vsockenc_PKG)
$(BUILD)/obj/tests/vm/dmabuf-frames.o: COMPONENT_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(dmabuf_frames_PKG))
$(BUILD)/tests/vm/dmabuf-frames: $(BUILD)/obj/tests/vm/dmabuf-frames.o
	$(LINK) $^ $(shell $(PKG_CONFIG) --libs $(dmabuf_frames_PKG))

# --- the main job, and checks of the sources -----------------------------------------------------

.PHONY: demo lint check-includes check-asan
demo: all
	BUILD=$(BUILD) bash tests/vm/demo.sh

SOURCES := $(shell git ls-files '*.c' '*.h' 2>/dev/null)
lint: check-includes
	@clang-format --dry-run -Werror $(SOURCES)
	@cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,portability --inline-suppr \
		$(addprefix --suppress=,missingIncludeSystem normalCheckLevelMaxBranches varFuncNullUB *OutOfMemory ctunullpointer*) \
		--library=gtk -DG_GINT64_FORMAT='"ld"' -DG_GUINT64_FORMAT='"lu"' -I. \
		$(filter-out tests/%,$(filter %.c,$(SOURCES)))
	mandoc -Tlint -Wwarning helixvm.1 helixvm-vsock.1

# Who may include whom: DIRECTIONS in tests/check-includes.pl.
check-includes:
	@perl tests/check-includes.pl $(SOURCES)

# The host's own processes and their unit tests with ASan and UBSan.  The module is preloaded, and so
# comes before their runtime.
check-asan:
	ASAN_OPTIONS=verify_asan_link_order=0 $(MAKE) BUILD=$(BUILD)/asan SANITIZE=address,undefined CFLAGS='-O1 -g' check-unit

# The list of a profile's keys in the manual page, from launcher/profile/keys.c.
.PHONY: man
man: $(BUILD)/helixvm
	perl -0pi -e 'BEGIN { $$keys = join "", `$(BUILD)/helixvm profile keys --mdoc`; $$? and die }' \
		-e 's/(^\.\\" The keys are made [^\n]*\n).*?(^\.\\" End of the keys)/$$1$$keys$$2/ms' helixvm.1

# --- installation --------------------------------------------------------------------------------

LIBEXEC := $(DESTDIR)$(PREFIX)/libexec/helixvm
DATA := $(DESTDIR)$(PREFIX)/share/helixvm
.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(LIBEXEC)/guest $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 0755 $(BUILD)/helixvm $(DESTDIR)$(PREFIX)/bin/
	install -m 0755 $(BUILD)/helixvm-vsock $(BUILD)/helixvm-encoder $(BUILD)/helixvm-recorder $(LIBEXEC)/
	install -m 0644 $(BUILD)/libhelixvm-export.so $(LIBEXEC)/
	install -m 0755 $(BUILD)/guest/* $(LIBEXEC)/guest/
	install -m 0644 helixvm.1 helixvm-vsock.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -d $(DESTDIR)$(PREFIX)/share/qemu/vhost-user
	sed 's|@LIBEXEC@|$(PREFIX)/libexec/helixvm|' launcher/vsock/50-helixvm-vsock.json \
		>$(DESTDIR)$(PREFIX)/share/qemu/vhost-user/50-helixvm-vsock.json
	install -d $(DATA)/qemu-profiles
	install -m 0644 qemu-profiles/*.conf $(DATA)/qemu-profiles/
	install -D -m 0644 cli/completion/helixvm.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/helixvm
	install -D -m 0644 cli/completion/helixvm.zsh \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_helixvm
	install -D -m 0644 cli/completion/helixvm.fish \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/helixvm.fish
	for file in $(INSTALLED_DATA); do \
		install -D -m "$$(stat -c %a $$file)" $$file $(DATA)/$$file || exit 1; done

# Sources that the running program reads: hx_data_path().
INSTALLED_DATA := $(shell find guest-provision/image guest-provision/seed guest-provision/steps \
	-type f ! -name '*.c' ! -name '*.h' 2>/dev/null) \
	$(wildcard cli/completion/*) cli/view.html \
	$(wildcard guest-provision/session/*.conf guest-provision/session/*.service \
	guest-provision/session/*packages guest-provision/session/*requirements \
	guest-provision/session/distributions guest-provision/vsockenc/packages \
	guest-provision/vsockenc/requirements) launcher/image/catalogue.conf

# --- benchmarks ----------------------------------------------------------------------------------

# Both ends of the traffic, and the guest's whole user space: static.
BENCH_GUEST_SRC := $(wildcard tests/bench/traffic/*.c)
$(BUILD)/bench/traffic: $(BENCH_GUEST_SRC) tests/bench/traffic/traffic.h $(BUILD)/flags
	@mkdir -p $(@D) && echo link $@ && $(CC) $(STATIC) -pthread -o $@ $(BENCH_GUEST_SRC)
$(BUILD)/obj/tests/bench/%.o: COMPONENT_CFLAGS = $(vsock_CFLAGS)
$(BUILD)/bench/vsock-floor: $(BUILD)/obj/tests/bench/vsock-floor.o $(BUILD)/lib/vsock.a $(BUILD)/lib/base.a
	$(LINK) $^ $(vsock_LIBS)
ENCODING_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/encoding/*.c))
$(ENCODING_OBJ): COMPONENT_CFLAGS = $(encoder_CFLAGS)
$(BUILD)/bench/encoding: $(ENCODING_OBJ) $(encoder_FAKES) $(BUILD)/lib/encoder.a $(BUILD)/lib/base.a
	$(LINK) $^ $(encoder_LIBS)

# Runs in the guest, with its libraries.
DRAWING_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/drawing/*.c))
drawing_PKG := wayland-client wayland-egl egl glesv2
$(DRAWING_OBJ): COMPONENT_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(drawing_PKG))
$(BUILD)/bench/drawing: $(DRAWING_OBJ)
	$(LINK) $^ $(shell $(PKG_CONFIG) --libs $(drawing_PKG))

.PHONY: bench bench-encoder bench-initrd bench-launcher bench-picture bench-stream bench-vsock bench-vsock-cpus
bench-initrd: all
	BUILD=$(BUILD) tests/bench/boot-initrd
bench-vsock: all $(BUILD)/bench/traffic $(BUILD)/bench/vsock-floor
	BUILD=$(BUILD) tests/bench/vsock $(RUNS)
# What the guest's CPUs cost each other.
bench-vsock-cpus: all $(BUILD)/bench/traffic
	BUILD=$(BUILD) tests/bench/vsock-cpus $(RUNS)
bench-launcher: all
	BUILD=$(BUILD) tests/bench/launcher $(RUNS)
bench-picture: all $(BUILD)/bench/drawing
	BUILD=$(BUILD) tests/bench/picture $(RUNS)
bench-stream: all
	BUILD=$(BUILD) tests/bench/stream $(RUNS)
bench-encoder: $(BUILD)/helixvm-encoder $(BUILD)/bench/encoding
	BUILD=$(BUILD) tests/bench/encoder $(RUNS)
bench: bench-encoder bench-initrd bench-launcher bench-picture bench-stream bench-vsock

.PHONY: clean help
clean:
	rm -rf $(BUILD)

help:
	@sed -n 's/^\.PHONY: //p' Makefile

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
