//! What a Grafana board is made of, and its classic JSON. Panels are placed from left to right, row by row: nothing overlaps.

use serde_json::{Value, json};

use super::RenderError;
use super::promql::Query;

/// Grafana's columns.
const COLUMNS: u32 = 24;
/// The classic model that Grafana 10.3 and everything later reads.
const SCHEMA_VERSION: u32 = 39;

/// A board.
pub(super) struct Board {
    /// Also the file's name; links and bookmarks depend on it.
    pub uid: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    /// The time range at first.
    pub from: &'static str,
    pub variables: Vec<Variable>,
    pub annotations: Vec<Annotation>,
    pub rows: Vec<Row>,
}

/// A variable that is filled by a query.
pub(super) struct Variable {
    pub name: &'static str,
    pub label: &'static str,
    pub query: Query,
    /// Several at once, all of them at first.
    pub multi: bool,
}

/// Marks in time.
pub(super) struct Annotation {
    pub name: &'static str,
    pub query: Query,
    pub title: &'static str,
    pub color: &'static str,
}

/// Panels under a heading.
pub(super) struct Row {
    pub title: &'static str,
    pub panels: Vec<Panel>,
}

/// One panel.
pub(super) struct Panel {
    pub title: &'static str,
    pub description: &'static str,
    pub unit: Unit,
    pub look: Look,
    pub width: u32,
    pub targets: Vec<(Query, &'static str)>,
    /// From this value on, this colour; below all of them green.
    pub thresholds: Vec<(f64, &'static str)>,
    /// A word in place of a number.
    pub words: Vec<(f64, &'static str, &'static str)>,
    /// Legends that are drawn dashed.
    pub dashed: &'static [&'static str],
}

/// How a panel looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// One number.
    Stat,
    /// Lines over time.
    Lines,
    /// Lines that step from value to value.
    Steps,
    /// Stacked bars over time: counts of events.
    Bars,
    /// States over time.
    Timeline,
    /// What holds now.
    Table,
}

/// Grafana's names of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Seconds,
    Share,
    PerSecond,
    BytesPerSecond,
}

impl Unit {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::Seconds => "s",
            Self::Share => "percentunit",
            Self::PerSecond => "ops",
            Self::BytesPerSecond => "Bps",
        }
    }
}

impl Panel {
    /// A panel without thresholds and words.
    pub fn new(
        look: Look,
        unit: Unit,
        title: &'static str,
        description: &'static str,
        targets: Vec<(Query, &'static str)>,
    ) -> Self {
        Self {
            title,
            description,
            unit,
            look,
            width: if look == Look::Stat { 4 } else { 8 },
            targets,
            thresholds: Vec::new(),
            words: Vec::new(),
            dashed: &[],
        }
    }

    pub fn wide(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    pub fn warn_at(mut self, value: f64) -> Self {
        self.thresholds.push((value, "orange"));
        self
    }

    pub fn alarm_at(mut self, value: f64) -> Self {
        self.thresholds.push((value, "red"));
        self
    }

    pub fn word(mut self, value: f64, text: &'static str, color: &'static str) -> Self {
        self.words.push((value, text, color));
        self
    }

    pub fn dashed(mut self, legends: &'static [&'static str]) -> Self {
        self.dashed = legends;
        self
    }

    fn height(&self) -> u32 {
        match self.look {
            Look::Stat => 4,
            _ => 8,
        }
    }
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

impl Board {
    /// The board's file.
    pub fn render(&self) -> Result<String, RenderError> {
        let failed = |problem: String| RenderError {
            name: self.uid.to_owned(),
            problem,
        };
        let mut variables = vec![json!({
            "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
            "current": {}, "hide": 0, "includeAll": false, "multi": false, "options": [], "refresh": 1, "regex": "",
        })];
        for variable in &self.variables {
            variables.push(variable.render().map_err(failed)?);
        }
        let mut annotations = Vec::new();
        for annotation in &self.annotations {
            annotations.push(annotation.render().map_err(failed)?);
        }
        let board = json!({
            "id": null, "uid": self.uid, "title": self.title, "description": self.description,
            "tags": ["homeostat"], "editable": false, "graphTooltip": 1, "schemaVersion": SCHEMA_VERSION,
            "timezone": "utc", "refresh": "30s", "time": {"from": self.from, "to": "now"}, "version": 1,
            "links": [{
                "title": "Homeostat", "type": "dashboards", "tags": ["homeostat"], "asDropdown": true,
                "includeVars": true, "keepTime": true, "icon": "external link", "targetBlank": false,
            }],
            "templating": {"list": variables}, "annotations": {"list": annotations},
            "panels": self.panels().map_err(failed)?,
        });
        match serde_json::to_string_pretty(&board) {
            Ok(text) => Ok(text + "\n"),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    fn panels(&self) -> Result<Vec<Value>, String> {
        let (mut id, mut y) = (0, 0);
        let mut list = Vec::new();
        for row in &self.rows {
            id += 1;
            list.push(json!({
                "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
            }));
            y += 1;
            let (mut x, mut line) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > COLUMNS {
                    (x, y, line) = (0, y + line, 0);
                }
                id += 1;
                let (width, height) = (panel.width, panel.height());
                let place = json!({"x": x, "y": y, "w": width, "h": height});
                list.push(panel.render(id, &place)?);
                x += panel.width;
                line = line.max(height);
            }
            y += line;
        }
        Ok(list)
    }
}

impl Variable {
    fn render(&self) -> Result<Value, String> {
        let query = self.query.finish(&[])?;
        let all = json!({"text": ["All"], "value": ["$__all"], "selected": true});
        Ok(json!({
            "name": self.name, "label": self.label, "type": "query", "datasource": datasource(),
            "definition": query, "query": query, "refresh": 2, "sort": 1, "hide": 0, "regex": "", "options": [],
            "multi": self.multi, "includeAll": self.multi, "allValue": if self.multi { json!(".+") } else { Value::Null },
            "current": if self.multi { all } else { json!({}) },
        }))
    }
}

impl Annotation {
    fn render(&self) -> Result<Value, String> {
        Ok(json!({
            "name": self.name, "datasource": datasource(), "enable": true, "hide": false, "iconColor": self.color,
            "expr": self.query.finish(&[self.title])?, "step": "1m", "titleFormat": self.title,
            "textFormat": "", "tagKeys": "", "useValueForTime": false,
        }))
    }
}

impl Panel {
    fn render(&self, id: u32, place: &Value) -> Result<Value, String> {
        let mut targets = Vec::new();
        for (index, (query, legend)) in self.targets.iter().enumerate() {
            let table = self.look == Look::Table;
            let now = matches!(self.look, Look::Table | Look::Stat);
            targets.push(json!({
                "refId": char::from(b'A' + (index % 26) as u8).to_string(), "datasource": datasource(),
                "expr": query.finish(&[legend]).map_err(|p| format!("panel {}: {p}", self.title))?,
                "legendFormat": legend, "editorMode": "code", "instant": now, "range": !now,
                "format": if table { "table" } else { "time_series" },
            }));
        }
        let mut panel = json!({
            "id": id, "title": self.title, "description": self.description, "type": self.kind(), "gridPos": place,
            "datasource": datasource(), "targets": targets, "options": self.options(),
            "fieldConfig": {"defaults": self.defaults(), "overrides": self.overrides()},
        });
        if self.look == Look::Table {
            panel["transformations"] = json!([
                {"id": "organize", "options": {"excludeByName": {"Time": true, "Value": true}}}
            ]);
        }
        Ok(panel)
    }

    const fn kind(&self) -> &'static str {
        match self.look {
            Look::Stat => "stat",
            Look::Lines | Look::Steps | Look::Bars => "timeseries",
            Look::Timeline => "state-timeline",
            Look::Table => "table",
        }
    }

    fn options(&self) -> Value {
        match self.look {
            Look::Stat => json!({
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto",
                "textMode": "auto",
            }),
            Look::Lines | Look::Steps | Look::Bars => {
                let calcs = if self.look == Look::Bars {
                    ["sum"]
                } else {
                    ["lastNotNull"]
                };
                json!({
                    "legend": {"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": calcs},
                    "tooltip": {"mode": "multi", "sort": "desc"},
                })
            }
            Look::Timeline => json!({
                "mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.8,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Look::Table => json!({"showHeader": true, "cellHeight": "sm", "footer": {"show": false}}),
        }
    }

    fn defaults(&self) -> Value {
        let first = json!({"color": "green", "value": null});
        let later = self
            .thresholds
            .iter()
            .map(|(at, color)| json!({"color": color, "value": at}));
        let steps: Vec<Value> = std::iter::once(first).chain(later).collect();
        let mut mappings = Vec::new();
        for (value, text, color) in &self.words {
            mappings.push(json!({"type": "value", "options": {value.to_string(): {"text": text, "color": color}}}));
        }
        let color = match self.look {
            Look::Stat | Look::Timeline => "thresholds",
            _ => "palette-classic",
        };
        json!({
            "unit": self.unit.as_str(), "color": {"mode": color}, "mappings": mappings,
            "thresholds": {"mode": "absolute", "steps": steps}, "custom": self.custom(),
        })
    }

    fn custom(&self) -> Value {
        let stacking = |mode: &str| json!({"mode": mode, "group": "A"});
        let lines = |interpolation: &str| {
            json!({
                "drawStyle": "line", "lineInterpolation": interpolation, "lineWidth": 1, "fillOpacity": 10,
                "showPoints": "never", "spanNulls": false, "axisSoftMin": 0, "stacking": stacking("none"),
            })
        };
        match self.look {
            Look::Stat => json!({}),
            Look::Lines => lines("linear"),
            Look::Steps => lines("stepAfter"),
            Look::Bars => json!({
                "drawStyle": "bars", "lineWidth": 0, "fillOpacity": 80, "showPoints": "never", "spanNulls": false,
                "stacking": stacking("normal"),
            }),
            Look::Timeline => json!({"fillOpacity": 70, "lineWidth": 0, "spanNulls": false}),
            Look::Table => json!({"align": "auto", "cellOptions": {"type": "auto"}}),
        }
    }

    fn overrides(&self) -> Vec<Value> {
        let dash = |legend: &&str| {
            json!({
                "matcher": {"id": "byName", "options": legend},
                "properties": [
                    {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}},
                    {"id": "custom.fillOpacity", "value": 0},
                ],
            })
        };
        self.dashed.iter().map(dash).collect()
    }
}
