import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MemberSet, type Member } from './member-set.ts';

const member = (): Member => ({ place: -1 });

it('holds what was added and not deleted', () => {
  const set = new MemberSet();
  const [one, two, three] = [member(), member(), member()];
  for (const each of [one, two, three]) set.add(each);
  assert.equal(set.size, 3);
  assert.equal(set.only, undefined);
  assert.equal(set.delete(one), true);
  assert.equal(set.delete(one), false);
  assert.deepEqual(new Set(set.values()), new Set([two, three]));
  assert.equal(set.delete(three), true);
  assert.equal(set.only, two);
  set.add(one);
  assert.deepEqual(new Set(set.values()), new Set([one, two]));
});

it('tells apart sets: a member is in one of them', () => {
  const here = new MemberSet();
  const there = new MemberSet();
  const one = member();
  here.add(one);
  there.add(member());
  assert.throws(() => there.add(one), /in a set already/);
  assert.equal(there.delete(one), false);
  assert.equal(here.delete(one), true);
  there.add(one);
  assert.equal(there.size, 2);
});
