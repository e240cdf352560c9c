//! How a route's cost in tokens is bounded by the request and told by the answer: by the dialect of a provider, or by paths.

use super::table::{Fault, Table};
use crate::json::Path;

/// What is held for the answer to a request that does not bound it: as long as the answers of many models become.
const DEFAULT_RESERVE: u32 = 4_096;

/// More paths than this, in one list, name more than any API has.
const MAX_PATHS: usize = 8;

/// Bytes of a path, and names in it.
const MAX_PATH_BYTES: usize = 256;
const MAX_PATH_NAMES: usize = 16;

/// How a request's cost in tokens is estimated and settled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenRule {
    /// Whose words requests and answers have; none: the policy names their members.
    pub dialect: Option<Dialect>,
    /// Members of the request, and what each of them says.
    pub asked: Vec<Path>,
    /// The same, in their order.
    pub asks: Vec<Asks>,
    /// The bound of a request that has none.
    pub default: u32,
    /// Members of the answer, and what each of them tells.
    pub told: Vec<Path>,
    /// The same, in their order.
    pub tells: Vec<Tells>,
    /// Whether all that was held counts for an answer that refuses and does not say what was used.
    pub refused_counts: bool,
}

/// A provider, by whose documentation requests and answers are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// `"anthropic"`.
    Anthropic,
    /// `"gemini"`.
    Gemini,
    /// `"openai"`, and who speaks as it does.
    OpenAi,
}

/// What a member of the request says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asks {
    /// How long the answer may become. Many servers read 0 as "not said"; in protocol buffers it is the same.
    Bound,
    /// The same where 0 is a bound: of a completion it asks for nothing but the probabilities of the question.
    BoundFromZero,
    /// The same on other endpoints of the dialect: it can only raise what is held.
    Raise,
    /// How many answers: the largest of a group counts, and groups multiply each other.
    Times(u8),
    /// The same by the items of a list.
    Items(u8),
}

/// What a member of the answer tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tells {
    /// All that was used.
    Total,
    /// What was used by the part of this number; parts add up.
    Part(u8),
    /// The same, told before the answer is over: what follows is still to come.
    Before(u8),
    /// What kind of event it is.
    Kind,
    /// That there is an error.
    Error,
}

/// Parts of an answer's usage.
pub const MAX_PARTS: usize = MAX_PATHS;

/// What the request's members say where there are dialects. `n_predict` and `max_new_tokens` are names of servers that speak OpenAI's
/// dialect and read their own beside it.
type Asked = &'static [(&'static str, Asks)];
type Told = &'static [(&'static str, Tells)];

use Asks::{Bound, BoundFromZero, Items, Raise, Times};
use Tells::{Before, Error, Kind, Part, Total};

const CHAT: Asked = &[
    ("max_completion_tokens", Bound),
    ("max_tokens", Bound),
    ("max_output_tokens", Raise),
    ("n_predict", Raise),
    ("max_new_tokens", Raise),
    ("n", Times(0)),
    ("best_of", Times(0)),
];
const COMPLETIONS: Asked = &[
    ("max_tokens", BoundFromZero),
    ("max_completion_tokens", Raise),
    ("max_output_tokens", Raise),
    ("n_predict", Raise),
    ("max_new_tokens", Raise),
    ("n", Times(0)),
    ("best_of", Times(0)),
    ("prompt", Items(1)),
];
const RESPONSES: Asked =
    &[("max_output_tokens", Bound), ("max_tokens", Raise), ("max_completion_tokens", Raise), ("n", Times(0))];
/// They read and write nothing.
const EMBEDDINGS: Asked = &[("max_tokens", Raise), ("max_completion_tokens", Raise), ("max_output_tokens", Raise)];
/// Where the path does not say which endpoint it is.
const ANY_ENDPOINT: Asked = &[
    ("max_tokens", Bound),
    ("max_completion_tokens", Bound),
    ("max_output_tokens", Raise),
    ("n_predict", Raise),
    ("max_new_tokens", Raise),
    ("n", Times(0)),
    ("best_of", Times(0)),
    ("prompt", Items(1)),
];
const OPENAI_USAGE: Told = &[
    ("type", Kind),
    ("error", Error),
    ("usage.total_tokens", Total),
    ("usage.prompt_tokens", Before(0)),
    ("usage.completion_tokens", Part(1)),
    ("usage.input_tokens", Before(0)),
    ("usage.output_tokens", Part(1)),
    // The events of `/v1/responses`.
    ("response.usage.total_tokens", Total),
    ("response.usage.input_tokens", Before(0)),
    ("response.usage.output_tokens", Part(1)),
    // Groq's streams.
    ("x_groq.usage.total_tokens", Total),
    ("x_groq.usage.prompt_tokens", Before(0)),
    ("x_groq.usage.completion_tokens", Part(1)),
];

const MESSAGES: Asked = &[("max_tokens", Bound), ("max_tokens_to_sample", Raise), ("thinking.budget_tokens", Raise)];
/// The endpoint that was before.
const COMPLETE: Asked = &[("max_tokens_to_sample", Bound), ("max_tokens", Raise)];
const ANTHROPIC_USAGE: Told = &[
    ("type", Kind),
    ("error", Error),
    ("usage.input_tokens", Before(0)),
    ("usage.cache_creation_input_tokens", Before(2)),
    ("usage.cache_read_input_tokens", Before(3)),
    ("usage.output_tokens", Part(1)),
    // The first event of a stream.
    ("message.usage.input_tokens", Before(0)),
    ("message.usage.cache_creation_input_tokens", Before(2)),
    ("message.usage.cache_read_input_tokens", Before(3)),
    ("message.usage.output_tokens", Before(1)),
];

/// Each in both spellings that the JSON of protocol buffers has.
const GENERATE_CONTENT: Asked = &[
    ("generationConfig.maxOutputTokens", Bound),
    ("generationConfig.max_output_tokens", Bound),
    ("generation_config.maxOutputTokens", Bound),
    ("generation_config.max_output_tokens", Bound),
    ("generationConfig.candidateCount", Times(0)),
    ("generationConfig.candidate_count", Times(0)),
    ("generation_config.candidateCount", Times(0)),
    ("generation_config.candidate_count", Times(0)),
];
const GEMINI_USAGE: Told = &[
    ("error", Error),
    ("usageMetadata.totalTokenCount", Total),
    ("usageMetadata.promptTokenCount", Before(0)),
    ("usageMetadata.candidatesTokenCount", Part(1)),
    ("usageMetadata.toolUsePromptTokenCount", Before(2)),
    ("usageMetadata.thoughtsTokenCount", Part(3)),
    ("usage_metadata.total_token_count", Total),
    ("usage_metadata.prompt_token_count", Before(0)),
    ("usage_metadata.candidates_token_count", Part(1)),
    ("usage_metadata.tool_use_prompt_token_count", Before(2)),
    ("usage_metadata.thoughts_token_count", Part(3)),
];

impl Dialect {
    fn tables(self, path: &str) -> (Asked, Told) {
        let path = path.trim_end_matches('/');
        match self {
            Self::Anthropic if path.ends_with("/complete") => (COMPLETE, ANTHROPIC_USAGE),
            Self::Anthropic => (MESSAGES, ANTHROPIC_USAGE),
            Self::Gemini => (GENERATE_CONTENT, GEMINI_USAGE),
            Self::OpenAi if path.ends_with("/chat/completions") => (CHAT, OPENAI_USAGE),
            Self::OpenAi if path.ends_with("/completions") => (COMPLETIONS, OPENAI_USAGE),
            Self::OpenAi if path.ends_with("/responses") => (RESPONSES, OPENAI_USAGE),
            Self::OpenAi if path.ends_with("/embeddings") => (EMBEDDINGS, OPENAI_USAGE),
            Self::OpenAi => (ANY_ENDPOINT, OPENAI_USAGE),
        }
    }
}

impl TokenRule {
    /// Reads `tokens` of a route with this path.
    pub(crate) fn read(table: Table, path: &str) -> Result<Self, Fault> {
        let table = table.only(&["dialect", "reserve", "settle", "multiply", "default", "refused"])?;
        let default = table.number("default", 0..=u32::MAX)?;
        let refused_counts = match table.text("refused")? {
            None => false,
            Some(text) => match text.text.as_str() {
                "free" => false,
                "held" => true,
                _ => return Err((text.span, "`refused` is \"free\" or \"held\"".to_owned())),
            },
        };
        let Some(name) = table.text("dialect")? else {
            return Self::of_paths(&table, default.unwrap_or(DEFAULT_RESERVE), refused_counts);
        };
        let dialect = match name.text.as_str() {
            "openai" => Dialect::OpenAi,
            "anthropic" => Dialect::Anthropic,
            "gemini" => Dialect::Gemini,
            _ => return Err((name.span, "`dialect` is \"openai\", \"anthropic\" or \"gemini\"".to_owned())),
        };
        if let Some(known) = ["reserve", "settle", "multiply"].iter().find(|known| table.get(known).is_some()) {
            return Err((name.span, format!("`dialect` knows the members: leave out `{known}`")));
        }
        let (asked, told) = dialect.tables(path);
        let generates = asked.iter().any(|(_, asks)| matches!(asks, Bound | BoundFromZero));
        let (asked, asks) = asked.iter().map(|(path, asks)| (Path::from(*path), *asks)).unzip();
        let (told, tells) = told.iter().map(|(path, tells)| (Path::from(*path), *tells)).unzip();
        let default = default.unwrap_or(if generates { DEFAULT_RESERVE } else { 0 });
        Ok(Self { dialect: Some(dialect), asked, asks, default, told, tells, refused_counts })
    }

    fn of_paths(table: &Table, default: u32, refused_counts: bool) -> Result<Self, Fault> {
        let bounds = paths(table, "reserve")?.ok_or_else(|| missing(table, "reserve"))?;
        let told = paths(table, "settle")?.ok_or_else(|| missing(table, "settle"))?;
        let times = paths(table, "multiply")?.unwrap_or_default();
        // What 0 means there, the policy does not say.
        let asks = bounds.iter().map(|_| BoundFromZero).chain((0..).take(times.len()).map(Times)).collect();
        let tells = (0..).take(told.len()).map(Part).collect();
        let asked = [bounds, times].concat();
        Ok(Self { dialect: None, asked, asks, default, told, tells, refused_counts })
    }
}

fn missing(table: &Table, name: &str) -> Fault {
    (table.span.clone(), format!("`{name}` is missing"))
}

/// One path or a list of them: names of members, with dots between.
fn paths(table: &Table, name: &str) -> Result<Option<Vec<Path>>, Fault> {
    let Some(texts) = table.one_or_more_texts(name)? else { return Ok(None) };
    if texts.is_empty() || texts.len() > MAX_PATHS {
        return Err((table.span.clone(), format!("`{name}` is a member, or a list of 1 to {MAX_PATHS}")));
    }
    let is_sound = |path: &str| {
        path.len() <= MAX_PATH_BYTES
            && path.split('.').count() <= MAX_PATH_NAMES
            && path.split('.').all(|name| !name.is_empty())
    };
    let mut paths: Vec<Path> = Vec::new();
    for text in texts {
        if !is_sound(&text.text) {
            return Err((text.span, format!("`{name}` is the names of members, with dots between")));
        }
        if paths.iter().any(|path| *path == text.text) {
            return Err((text.span, format!("`{name}` has this member twice")));
        }
        paths.push(text.text.into());
    }
    Ok(Some(paths))
}
