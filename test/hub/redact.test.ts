import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redactSecrets } from '../../model/redact.ts';
import { Redactor } from '../../hub/redact.ts';

test('redact: secrets, addresses and host names go; the same one is the same afterwards', () => {
  const redactor = new Redactor(['lab', 'rack7']);
  for (const [text, clean] of [
    ['rdinit=/init mk.token=f706184e16327d02 mk.port=7103', 'rdinit=/init mk.token=[redacted] mk.port=7103'],
    ['db_password="a b c" x', 'db_password=[redacted] x'],
    ['Authorization: Bearer abc.def-ghi', 'Authorization: [redacted]'],
    ['api_key=1,ssh-key=2', 'api_key=[redacted],ssh-key=[redacted]'],
    ['get https://joe:pw1@proxy/', 'get https://[redacted]@proxy/'],
    ['eth0: 10.0.0.7 52:54:00:12:34:56', 'eth0: ip-1 mac-1'],
    ['10.0.0.7 and 10.0.0.8, 52:54:00:12:34:56', 'ip-1 and ip-2, mac-1'],
    ['fe80::5054:ff:fe12:3456 up', 'ip-3 up'],
    ['R13: ffff8c5e00000000 R14: ffff8c5e00000000', 'R13: ptr-1 R14: ptr-1'],
    ['Kernel Offset: 0x2b400000 from', 'Kernel Offset: [redacted] from'],
    ['systemd: Hostname set to <Db-3>.', 'systemd: Hostname set to <host-1>.'],
    ['resolved db-3.example.com', 'resolved host-2'],
    ['mail joe@site.org', 'mail mail-1'],
    ['rack7 lab slab', 'machine-1 machine-2 slab'],
  ] as const)
    assert.equal(redactor.redact(text), clean);
});

test('redact: what only looks like one stays', () => {
  const redactor = new Redactor(['lab']);
  for (const text of [
    '[   39.070387] Multikernel instance 1 shutting down',
    'BUG: KASAN: slab-out-of-bounds in f+0x1/0x2 mm/slab.c:61',
    'pci 0000:00:02.0: [1af4:1050] type 00',
    'Linux version 6.12.117+deb12-cloud-amd64 12:34:56',
    'RIP: 0010:fault_oops+0xa/0x20 [mkfault]',
    'CPU: 1 PID: 95 Comm: mkfault Tainted: G      D W  OE      6.12.117-amd64 #1  Debian 6.12.117-1',
    'keyboard: unknown key pressed',
  ])
    assert.equal(redactor.redact(text), text);
});

test('redact: all texts of a value, and nothing else of it', () => {
  assert.deepEqual(new Redactor([]).redactAll({ a: ['x=1 token=2', 3, undefined], token: { b: true } }), {
    a: ['x=1 token=[redacted]', 3, undefined],
    token: { b: true },
  });
});

test('redact: parameters of the kernel whose names only look like secrets keep their values', () => {
  const line = 'iommu.passthrough=1 vconsole.keymap=us secretmem.enable=1 module.sig_enforce=1 author=me';
  assert.equal(redactSecrets(line), line);
  assert.equal(
    redactSecrets('pass=a luks.key=/k my_key=b auth=c x.auth-token=d'),
    'pass=[redacted] luks.key=[redacted] my_key=[redacted] auth=[redacted] x.auth-token=[redacted]',
  );
});
