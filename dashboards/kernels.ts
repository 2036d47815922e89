/** Dashboard "mkscope: kernels": who is there, what they say, what got lost, how loaded they are. */
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import { LogsSortOrder, StackingMode, VisibilityMode } from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardBuilder,
  DashboardCursorSync,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import type { Dashboard, VariableModel } from '@grafana/grafana-foundation-sdk/dashboard';
import { StackingConfigBuilder } from '@grafana/grafana-foundation-sdk/common';
import { PanelBuilder as LogsPanelBuilder } from '@grafana/grafana-foundation-sdk/logs';
import { PanelBuilder as StatPanelBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TablePanelBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeseriesPanelBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

import { ClickHouseQueryBuilder, DATA_SOURCE } from './clickhouse-query.ts';
import * as sql from './kernel-queries.ts';

/** Of Grafana's 24 columns. */
const FULL = 24;
const HALF = 12;
const QUARTER = 6;

export function buildKernels(): Dashboard {
  return new DashboardBuilder('mkscope: kernels')
    .uid('mkscope-kernels')
    .description('Every kernel of a machine: state, records, losses, load. Written by dashboards/kernels.ts.')
    .tags(['mkscope', 'linux', 'kernel'])
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: 'now-1h', to: 'now' })
    .refresh('10s')
    .withVariable(toVariable('machine', 'Machine', sql.MACHINES))
    .withVariable(toVariable('kernel', 'Kernel', sql.KERNELS_OF_MACHINES))
    .withPanel(toStat('Kernels', sql.KERNEL_COUNT, 'Kernels seen in the window'))
    .withPanel(toStat('Log records', sql.RECORD_COUNT, 'Records of all levels, and those of level err and worse'))
    .withPanel(toStat('Lost records', sql.LOST_COUNT, 'Records known to be lost, and gaps whose size the kernel does not say', 1))
    .withPanel(toTimeseries('Problems', sql.PROBLEM_RATE, 'cps', 'Records of level warn and worse per second').span(QUARTER).height(5))
    .withPanel(toTable('Kernels', sql.KERNELS, 'One row per boot of a kernel that was seen in the window'))
    .withRow(new RowBuilder('Records and losses'))
    .withPanel(toTimeseries('Log records', sql.RECORD_RATE, 'cps', 'Per second, by kernel'))
    .withPanel(toTimeseries('Trace events', sql.EVENT_RATE, 'cps', 'Per second, by kernel'))
    .withPanel(toTimeseries('Most frequent trace events', sql.TOP_EVENT_RATE, 'cps', 'Per second, the ten most frequent'))
    .withPanel(toBars('Lost records', sql.LOSS_RATE, 'Per interval, by stream and reason'))
    .withRow(new RowBuilder('Load'))
    .withPanel(toTimeseries('CPU', sql.CPU, 'percentunit', 'Share of all CPU time that was not idle').min(0).max(1))
    .withPanel(toTimeseries('Memory', sql.MEMORY, 'bytes', 'By state').min(0))
    .withPanel(
      toTimeseries('Pressure', sql.PRESSURE, 'percentunit', 'Share of the time in which some or all tasks waited (PSI)').min(0).span(FULL),
    )
    .withRow(new RowBuilder('Logs'))
    .withPanel(toLogs('Logs', sql.LOGS))
    .withPanel(toTable('Gaps', sql.GAPS, 'Each loss: when, how much, and why'))
    .build();
}

/** A choice of several, filled by a query; `All` by default. */
function toVariable(name: string, label: string, query: string): Builder<VariableModel> {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(DATA_SOURCE)
    .query(query)
    .definition(query)
    .multi(true)
    .includeAll(true)
    .current({ selected: true, text: ['All'], value: ['$__all'] })
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc);
}

/** `redFrom`: the value from which it is a problem. */
function toStat(title: string, query: string, description: string, redFrom?: number) {
  const steps = [{ value: null, color: 'green' }, ...(redFrom === undefined ? [] : [{ value: redFrom, color: 'red' }])];
  return new StatPanelBuilder()
    .title(title)
    .description(description)
    .datasource(DATA_SOURCE)
    .withTarget(new ClickHouseQueryBuilder('table', query))
    .thresholds(new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps))
    .unit('short')
    .span(QUARTER)
    .height(5);
}

function toTimeseries(title: string, query: string, unit: string, description: string) {
  return new TimeseriesPanelBuilder()
    .title(title)
    .description(description)
    .datasource(DATA_SOURCE)
    .withTarget(new ClickHouseQueryBuilder('timeseries', query))
    .unit(unit)
    .showPoints(VisibilityMode.Never)
    .fillOpacity(10)
    .span(HALF)
    .height(8);
}

function toBars(title: string, query: string, description: string) {
  return toTimeseries(title, query, 'short', description).fillOpacity(60).stacking(new StackingConfigBuilder().mode(StackingMode.Normal));
}

function toTable(title: string, query: string, description: string) {
  return new TablePanelBuilder()
    .title(title)
    .description(description)
    .datasource(DATA_SOURCE)
    .withTarget(new ClickHouseQueryBuilder('table', query))
    .filterable(true)
    .span(FULL)
    .height(8);
}

function toLogs(title: string, query: string) {
  return new LogsPanelBuilder()
    .title(title)
    .datasource(DATA_SOURCE)
    .withTarget(new ClickHouseQueryBuilder('logs', query))
    .showTime(true)
    .wrapLogMessage(true)
    .enableLogDetails(true)
    .sortOrder(LogsSortOrder.Descending)
    .span(FULL)
    .height(14);
}
