# SPDX-License-Identifier: GPL-2.0-or-later
# What is built for guests, with their libraries: on the host, whose Makefile includes this, or in the
# guest, from source.tar, by `make -f guest-provision/guest.mk`.

BUILD ?= build

.PHONY: guest
guest: $(BUILD)/guest/libgstvsockenc.so $(BUILD)/guest/helixvm-session

include components.mk

vsockenc_SRC := $(wildcard guest-provision/vsockenc/*.c)
vsockenc_PKG := gstreamer-video-1.0 gstreamer-allocators-1.0 libdrm
session_SRC := $(wildcard guest-provision/session/*.c) \
	$(addprefix guest-provision/vsockenc/,statistics.c frame-client.c)
session_PKG := gstreamer-app-1.0 gstreamer-video-1.0 libsoup-3.0 json-glib-1.0 gio-unix-2.0
$(foreach c,vsockenc session,$(eval $(call component,$(c))))

$(BUILD)/guest/libgstvsockenc.so: $(vsockenc_OBJ)
	$(LINK) -shared $^ $(vsockenc_LIBS)
$(BUILD)/guest/helixvm-session: $(BUILD)/obj/guest-provision/session/main.o $(BUILD)/lib/session.a
	$(LINK) $^ $(session_LIBS)

# All that a guest needs to build them.  The same sources are the same file, by whose checksum a guest
# remembers what it was provisioned with.
SOURCE := $(sort $(vsockenc_SRC) $(session_SRC) encoder/protocol.h components.mk guest-provision/guest.mk \
	$(wildcard guest-provision/vsockenc/*.h guest-provision/session/*.h))
$(BUILD)/guest/source.tar: $(SOURCE)
	@mkdir -p $(@D) && echo tar $@ && \
		tar -c --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rw,go=r --mtime=@0 -f $@ $^
