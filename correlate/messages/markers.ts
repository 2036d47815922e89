/** What programs print for whoever watches the console: one JSON object per line. Spec: the observers of third parties (no kernel code). */
import type { MessageRule } from '../message-catalogue.ts';

export const MARKER_MESSAGES: readonly MessageRule[] = [
  {
    event: 'mk.marker',
    about:
      'A program says that something has happened, in JSON: members become attributes, those of an inner object with its name in front.',
    level: 'info',
    side: 'both',
    fromUser: 'either',
    prefix: 'mk.marker.',
    patterns: ['MK_EVENT {json:text}'],
    json: 'json',
    samples: [
      {
        line: 'MK_EVENT {"event":"agent.ready","fields":{"port":7103,"sandbox":"web-1","ok":true},"source":"agent"}',
        fields: {
          'mk.marker.event': 'agent.ready',
          'mk.marker.fields.port': '7103',
          'mk.marker.fields.sandbox': 'web-1',
          'mk.marker.fields.ok': 'true',
          'mk.marker.source': 'agent',
        },
      },
      { line: 'MK_EVENT {"event":"cut in the mid', fields: { 'mk.marker.json': '{"event":"cut in the mid' } },
      { line: 'MK_EVENT ["no","object"]', fields: { 'mk.marker.json': '["no","object"]' } },
      {
        line: 'MK_EVENT {"event":"cpus","fields":{"list":[8,10],"deep":{"er":1}},"a b":"no name","none":null}',
        fields: { 'mk.marker.event': 'cpus', 'mk.marker.fields.list': '[8,10]', 'mk.marker.fields.deep': '{"er":1}' },
      },
    ],
  },
];
